using System.Diagnostics;
using System.Numerics;

namespace VmShunt.Guest.Workloads;

/// <summary>
/// Latencies in buckets of under 2 % width: 64 steps to each doubling, in nanoseconds. Recording allocates nothing. One thread.
/// </summary>
internal sealed class LatencyHistogram
{
    private const int StepBits = 6;
    private const int Steps = 1 << StepBits;

    private readonly long[] _counts = new long[Steps * (64 - StepBits)];
    private long _max;

    internal long Count { get; private set; }

    /// <summary>The longest, in microseconds.</summary>
    internal double MaxMicroseconds => _max / 1e3;

    /// <summary>Records a span between two <see cref="Stopwatch"/> readings.</summary>
    internal void Record(long ticks)
    {
        var nanoseconds = (long)(ticks * (1e9 / Stopwatch.Frequency));
        _counts[BucketOf(nanoseconds)]++;
        _max = Math.Max(_max, nanoseconds);
        Count++;
    }

    internal void Add(LatencyHistogram other)
    {
        for (var i = 0; i < _counts.Length; i++) _counts[i] += other._counts[i];
        _max = Math.Max(_max, other._max);
        Count += other.Count;
    }

    /// <summary>The latency that a share of requests did not exceed, in microseconds; never above the longest.</summary>
    /// <param name="share">0 to 1.</param>
    internal double Percentile(double share)
    {
        var rank = Math.Max(1, (long)Math.Ceiling(share * Count));
        long seen = 0;
        for (var i = 0; i < _counts.Length; i++)
        {
            seen += _counts[i];
            if (seen >= rank) return Math.Min(UpperEnd(i), _max) / 1e3;
        }
        return MaxMicroseconds;
    }

    private static int BucketOf(long nanoseconds)
    {
        if (nanoseconds < Steps) return (int)Math.Max(0, nanoseconds);
        var shift = BitOperations.Log2((ulong)nanoseconds) - StepBits;
        return Steps * (shift + 1) + (int)(nanoseconds >> shift) - Steps;
    }

    private static long UpperEnd(int bucket)
    {
        if (bucket < Steps) return bucket;
        var shift = bucket / Steps - 1;
        return ((long)(bucket % Steps + Steps + 1) << shift) - 1;
    }
}
