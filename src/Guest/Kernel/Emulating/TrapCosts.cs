using System.Diagnostics;
using System.Numerics;
using VmShunt.BlockDriver.Requests;
using VmShunt.Ring.Memory;

namespace VmShunt.Guest.Emulating;

/// <summary>
/// Mean latencies of commands on the trap path, by request type and length to a power of two. The port driver (emulating)
/// measures under its lock; any thread may ask.
/// </summary>
internal sealed class TrapCosts
{
    /// <summary>Requests are costly if their mean is at least so many times the lowest mean.</summary>
    internal const int CostlyFactor = 2;

    // Measurements before a mean counts, and the weight of the moving average from then on.
    private const int MinimumCount = 8;

    // Lengths below 1 KiB, below 2 KiB and so on; the last is 16 MiB and more.
    private const int Lengths = 16;

    private static readonly int s_buckets = Enum.GetValues<BlockOperation>().Length * Lengths;

    private readonly long[] _mean = new long[s_buckets];
    private readonly int[] _count = new int[s_buckets];
    private readonly bool[] _costly = new bool[s_buckets];

    /// <summary>Whether requests of this type and length were measured to be costly.</summary>
    internal bool IsCostly(BlockOperation operation, int bytes) => Ordered.Load(ref _costly[BucketOf(operation, bytes)]);

    /// <summary>Adds a measurement. One thread at a time.</summary>
    /// <param name="operation">The request type.</param>
    /// <param name="bytes">The length.</param>
    /// <param name="ticks">The latency in ticks of <see cref="Stopwatch"/>.</param>
    internal void Note(BlockOperation operation, int bytes, long ticks)
    {
        var bucket = BucketOf(operation, bytes);
        if (_count[bucket] < MinimumCount)
        {
            _mean[bucket] = (_mean[bucket] * _count[bucket] + ticks) / (_count[bucket] + 1);
            if (++_count[bucket] < MinimumCount) return;
        }
        else
        {
            _mean[bucket] += (ticks - _mean[bucket]) / MinimumCount;
        }
        Judge();
    }

    private static int BucketOf(BlockOperation operation, int bytes) =>
        (int)operation * Lengths + Math.Min(BitOperations.Log2((uint)bytes >> 9 | 1), Lengths - 1);

    private void Judge()
    {
        var lowest = long.MaxValue;
        for (var i = 0; i < _mean.Length; i++)
        {
            if (_count[i] >= MinimumCount) lowest = Math.Min(lowest, _mean[i]);
        }
        for (var i = 0; i < _mean.Length; i++) Ordered.Store(ref _costly[i], _count[i] >= MinimumCount && _mean[i] >= CostlyFactor * lowest);
    }
}
