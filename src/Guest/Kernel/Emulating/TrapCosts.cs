using System.Diagnostics;
using System.Numerics;
using VmShunt.BlockDriver.Requests;

namespace VmShunt.Guest.Emulating;

/// <summary>
/// How long commands take by the trap, by kind: operation and length to a power of two. Port driver-em measures each of its
/// commands, under its lock; anyone may ask.
/// </summary>
internal sealed class TrapCosts
{
    /// <summary>A kind is costly that takes at least so many times as long as the cheapest.</summary>
    internal const int CostlyFactor = 2;

    // A kind is judged once it was measured so often; the mean forgets with the same weight.
    private const int Enough = 8;

    // Lengths below 1 KiB, below 2 KiB, and so on; the last: 16 MiB and more.
    private const int Lengths = 16;

    private static readonly int s_kinds = Enum.GetValues<BlockOperation>().Length * Lengths;

    private readonly long[] _mean = new long[s_kinds];
    private readonly int[] _count = new int[s_kinds];
    private readonly bool[] _costly = new bool[s_kinds];

    /// <summary>Whether requests like this one were measured to be costly.</summary>
    internal bool IsCostly(BlockOperation operation, int bytes) => _costly[KindOf(operation, bytes)];

    /// <summary>Notes what one took. One thread at a time.</summary>
    /// <param name="operation">Its operation.</param>
    /// <param name="bytes">Its length.</param>
    /// <param name="ticks">What it took, in ticks of <see cref="Stopwatch"/>.</param>
    internal void Note(BlockOperation operation, int bytes, long ticks)
    {
        var kind = KindOf(operation, bytes);
        if (_count[kind] < Enough)
        {
            _mean[kind] = (_mean[kind] * _count[kind] + ticks) / (_count[kind] + 1);
            if (++_count[kind] < Enough) return;
        }
        else
        {
            _mean[kind] += (ticks - _mean[kind]) / Enough;
        }
        Judge();
    }

    private static int KindOf(BlockOperation operation, int bytes) =>
        (int)operation * Lengths + Math.Min(BitOperations.Log2((uint)bytes >> 9 | 1), Lengths - 1);

    private void Judge()
    {
        var cheapest = long.MaxValue;
        for (var i = 0; i < _mean.Length; i++)
        {
            if (_count[i] >= Enough) cheapest = Math.Min(cheapest, _mean[i]);
        }
        for (var i = 0; i < _mean.Length; i++) _costly[i] = _count[i] >= Enough && _mean[i] >= CostlyFactor * cheapest;
    }
}
