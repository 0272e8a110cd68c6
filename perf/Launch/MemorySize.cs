namespace VmShunt.Perf.Launch;

/// <summary>Sizes as people write them: 67108864, 64M, 2G.</summary>
internal static class MemorySize
{
    internal static bool TryParse(string text, out long bytes)
    {
        var shift = text.Length == 0 ? 0 : char.ToUpperInvariant(text[^1]) switch { 'K' => 10, 'M' => 20, 'G' => 30, _ => 0 };
        var number = shift == 0 ? text : text[..^1];
        bytes = 0;
        if (!long.TryParse(number, System.Globalization.NumberStyles.None, null, out var value) || value > long.MaxValue >> shift) return false;
        bytes = value << shift;
        return true;
    }

    internal static string Format(long bytes) => bytes switch
    {
        >= 1 << 30 when bytes % (1 << 30) == 0 => $"{bytes >> 30} GiB",
        >= 1 << 20 when bytes % (1 << 20) == 0 => $"{bytes >> 20} MiB",
        >= 1 << 10 when bytes % (1 << 10) == 0 => $"{bytes >> 10} KiB",
        >= 10 << 20 => $"{bytes / (double)(1 << 20):F1} MiB",
        _ => $"{bytes} bytes",
    };
}
