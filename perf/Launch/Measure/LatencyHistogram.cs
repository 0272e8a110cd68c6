using System.Numerics;

namespace VmShunt.Perf.Measure;

/// <summary>
/// Counts latencies in 32 buckets per power of two, so a percentile is at most 3 % too high. Recording allocates nothing.
/// Not thread-safe: use one per thread and merge them.
/// </summary>
internal sealed class LatencyHistogram
{
    private const int SubBits = 5, SubBuckets = 1 << SubBits;

    private readonly long[] _counts = new long[(64 - SubBits + 1) << SubBits];

    internal long Count { get; private set; }

    internal long MaxNanoseconds { get; private set; }

    internal void Record(long nanoseconds)
    {
        if (nanoseconds < 0) nanoseconds = 0;
        _counts[IndexOf((ulong)nanoseconds)]++;
        Count++;
        if (nanoseconds > MaxNanoseconds) MaxNanoseconds = nanoseconds;
    }

    internal void Add(LatencyHistogram other)
    {
        for (var i = 0; i < _counts.Length; i++) _counts[i] += other._counts[i];
        Count += other.Count;
        MaxNanoseconds = Math.Max(MaxNanoseconds, other.MaxNanoseconds);
    }

    /// <summary>The latency that the given share of the requests did not exceed, in microseconds.</summary>
    /// <param name="share">0.5 for the median.</param>
    internal double PercentileMicroseconds(double share)
    {
        long rank = Math.Max(1, (long)Math.Ceiling(share * Count)), seen = 0;
        for (var i = 0; i < _counts.Length; i++)
        {
            seen += _counts[i];
            if (seen >= rank && Count > 0) return Math.Min(HighestOf(i), MaxNanoseconds) / 1000.0;
        }
        return 0;
    }

    private static int IndexOf(ulong value)
    {
        if (value < SubBuckets) return (int)value;
        var shift = BitOperations.Log2(value) - SubBits;
        return ((shift + 1) << SubBits) + (int)((value >> shift) - SubBuckets);
    }

    private static long HighestOf(int index)
    {
        var shift = (index >> SubBits) - 1;
        if (shift <= 0) return shift < 0 ? index : index & (SubBuckets - 1) | SubBuckets;
        return (long)((((ulong)(index & (SubBuckets - 1)) + SubBuckets + 1) << shift) - 1);
    }
}
