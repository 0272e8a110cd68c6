using VmShunt.Ring.Memory;
using VmShunt.Ring.Notification;

namespace VmShunt.Perf.Ends;

/// <summary>
/// Ping-pong of one cache line: the minimum cost of any exchange between two cores, and so the calibration of the machine.
/// The sender writes odd numbers, the receiver answers with even ones. Waits as the rings do.
/// </summary>
internal sealed class CacheLine(MemoryWindow line, SharedFlag peerExited)
{
    private SpinBudget _spin = NewBudget(mayMove: false);
    private ushort _word;

    /// <summary>Sends one number and waits for the answer.</summary>
    internal void RoundTrip()
    {
        line.WriteUInt16Release(0, (ushort)(_word + 1));
        _word += 2;
        _spin.Refill();
        while (line.ReadUInt16Acquire(0) != _word)
        {
            if (peerExited.IsRaised) throw new InvalidOperationException("the other end of the cache line exited");
            _spin.TrySpin();
        }
    }

    /// <summary>Answers every odd number until the flag is raised.</summary>
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
