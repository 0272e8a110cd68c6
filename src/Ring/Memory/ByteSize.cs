using System.Globalization;

namespace VmShunt.Ring.Memory;

/// <summary>Sizes in text: <c>4096</c>, <c>64M</c>, <c>2GiB</c>; K, M, G and T are powers of 1024.</summary>
public static class ByteSize
{
    /// <summary>Parses a size.</summary>
    /// <returns>False when the text is not a size, or does not fit 63 bits.</returns>
    public static bool TryParse(string text, out long bytes)
    {
        ArgumentNullException.ThrowIfNull(text);
        var digits = text.AsSpan().Trim();
        var shift = 0;
        var needsUnit = digits.EndsWith("iB", StringComparison.OrdinalIgnoreCase);
        if (needsUnit) digits = digits[..^2];
        else if (digits.EndsWith("B", StringComparison.OrdinalIgnoreCase)) digits = digits[..^1];
        if (digits.Length > 0 && "KMGT".IndexOf(char.ToUpperInvariant(digits[^1]), StringComparison.Ordinal) is >= 0 and var unit)
        {
            shift = 10 * (unit + 1);
            digits = digits[..^1];
        }
        bytes = 0;
        if (needsUnit && shift == 0) return false;
        if (!long.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out var number) || number > long.MaxValue >> shift) return false;
        bytes = number << shift;
        return true;
    }

    /// <summary>The shortest exact form: <c>64M</c>, <c>1000</c>.</summary>
    public static string Format(long bytes)
    {
        var unit = 0;
        while (unit < 4 && bytes != 0 && bytes % 1024 == 0)
        {
            bytes /= 1024;
            unit++;
        }
        return unit == 0 ? $"{bytes}" : $"{bytes}{"KMGT"[unit - 1]}";
    }
}
