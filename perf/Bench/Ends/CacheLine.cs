using VmShunt.Ring.Memory;
using VmShunt.Ring.Notification;

namespace VmShunt.Perf.Bench.Ends;

/// <summary>
/// One cache line thrown to and fro: the least that any exchange between two cores can cost, and so the yardstick of
/// this machine at this moment. Odd is the thrower's word, even the answer. The waiting is the rings' own.
/// </summary>
internal sealed class CacheLine(MemoryWindow line, SharedFlag peerGone)
{
    private SpinBudget _spin = NewBudget(mayMove: false);
    private ushort _word;

    /// <summary>Throws it and waits until it is back.</summary>
    internal void RoundTrip()
    {
        line.WriteUInt16Release(0, (ushort)(_word + 1));
        _word += 2;
        _spin.Refill();
        while (line.ReadUInt16Acquire(0) != _word)
        {
            if (peerGone.IsRaised) throw new InvalidOperationException("the other end of the cache line is gone");
            _spin.TrySpin();
        }
    }

    /// <summary>Throws every odd word back until the flag is raised.</summary>
    internal static void Return(MemoryWindow line, SharedFlag stopping)
    {
        var spin = NewBudget(mayMove: true);
        while (!stopping.IsRaised)
        {
            var word = line.ReadUInt16Acquire(0);
            if ((word & 1) == 0)
            {
                spin.TrySpin();
                continue;
            }
            line.WriteUInt16Release(0, (ushort)(word + 1));
            spin.Refill();
        }
    }

    private static SpinBudget NewBudget(bool mayMove) => new(WaitPolicy.Busy, SpinBudget.DefaultSpin, mayMove);
}
