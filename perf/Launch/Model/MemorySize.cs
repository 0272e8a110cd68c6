namespace VmShunt.Perf.Launch.Model;

/// <summary>Formats sizes: 1000 bytes, 64 MiB.</summary>
internal static class MemorySize
{
    internal static string Format(long bytes) => bytes switch
    {
        >= 1 << 30 when bytes % (1 << 30) == 0 => $"{bytes >> 30} GiB",
        >= 1 << 20 when bytes % (1 << 20) == 0 => $"{bytes >> 20} MiB",
        >= 1 << 10 when bytes % (1 << 10) == 0 => $"{bytes >> 10} KiB",
        >= 10 << 20 => $"{bytes / (double)(1 << 20):F1} MiB",
        _ => $"{bytes} bytes",
    };
}
