using VmShunt.Ring.Memory;
using VmShunt.Ring.Notification;

namespace VmShunt.Perf.Ends;

/// <summary>What the other end of a round trip does.</summary>
internal enum PeerWork
{
    /// <summary>Answers on the cache line.</summary>
    CacheLine,

    /// <summary>The device of a split ring.</summary>
    SplitRing,

    /// <summary>The device of a packed ring.</summary>
    PackedRing,
}

/// <summary>Runs the work, on a thread of this process or in a separate process.</summary>
internal static class PeerWorkLoop
{
    /// <summary>Runs until the flag is raised; never sleeps.</summary>
    internal static void Run(this PeerWork work, RingMemory memory, SharedFlag stopping)
    {
        switch (work)
        {
            case PeerWork.CacheLine:
                CacheLine.Return(memory.SharedLine, stopping);
                break;
            case PeerWork.SplitRing:
                EchoEnd.Serve(memory.SplitDevice(indirect: true, eventIndex: true), events: null, WaitPolicy.Busy, stopping);
                break;
            case PeerWork.PackedRing:
                EchoEnd.Serve(memory.PackedDevice(indirect: true, eventIndex: true), events: null, WaitPolicy.Busy, stopping);
                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(work), work, "unknown work");
        }
    }
}
