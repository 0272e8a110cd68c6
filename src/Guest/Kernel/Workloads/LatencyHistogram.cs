using System.Diagnostics;
using System.Numerics;

namespace VmShunt.Guest.Workloads;

/// <summary>
/// Counts latencies in buckets that grow with the value: 64 per power of two, so a percentile is at most 1.6 % too high.
/// The memory is fixed and recording allocates nothing. One thread; merge the histograms of several threads with <see cref="Add"/>.
/// </summary>
internal sealed class LatencyHistogram
{
    private const int StepBits = 6;
    private const int Steps = 1 << StepBits;

    private readonly long[] _counts = new long[Steps * (64 - StepBits)];

    internal long Count { get; private set; }

    internal long MaxNanoseconds { get; private set; }

    internal double MaxMicroseconds => MaxNanoseconds / 1000.0;

    /// <summary>Records the time between two <see cref="Stopwatch"/> timestamps.</summary>
    internal void RecordTicks(long ticks) => Record((long)(ticks * (1e9 / Stopwatch.Frequency)));

    internal void Record(long nanoseconds)
    {
        nanoseconds = Math.Max(0, nanoseconds);
        _counts[BucketOf(nanoseconds)]++;
        MaxNanoseconds = Math.Max(MaxNanoseconds, nanoseconds);
        Count++;
    }

    internal void Add(LatencyHistogram other)
    {
        for (var i = 0; i < _counts.Length; i++) _counts[i] += other._counts[i];
        MaxNanoseconds = Math.Max(MaxNanoseconds, other.MaxNanoseconds);
        Count += other.Count;
    }

    /// <summary>The latency in microseconds that this share of the requests did not exceed; never above the longest, 0 without requests.</summary>
    /// <param name="share">0 to 1; 0.5 is the median.</param>
    internal double PercentileMicroseconds(double share)
    {
        var rank = Math.Max(1, (long)Math.Ceiling(share * Count));
        long seen = 0;
        for (var i = 0; i < _counts.Length; i++)
        {
            seen += _counts[i];
            if (seen >= rank) return Math.Min(HighestOf(i), MaxNanoseconds) / 1000.0;
        }
        return MaxMicroseconds;
    }

    private static int BucketOf(long nanoseconds)
    {
        if (nanoseconds < Steps) return (int)nanoseconds;
        var shift = BitOperations.Log2((ulong)nanoseconds) - StepBits;
        return Steps * (shift + 1) + (int)(nanoseconds >> shift) - Steps;
    }

    private static long HighestOf(int bucket)
    {
        if (bucket < Steps) return bucket;
        var shift = bucket / Steps - 1;
        // Unsigned: the last bucket ends at the largest long.
        return (long)(((ulong)(bucket % Steps + Steps + 1) << shift) - 1);
    }
}
