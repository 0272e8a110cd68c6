using VmShunt.Ring.Memory;
using VmShunt.Ring.Notification;

namespace VmShunt.Perf.Bench.Ends;

/// <summary>What the other end of a round trip does.</summary>
internal enum PeerWork
{
    /// <summary>Throws the cache line back.</summary>
    CacheLine,

    /// <summary>Is the device of a split ring.</summary>
    SplitRing,

    /// <summary>Is the device of a packed ring.</summary>
    PackedRing,
}

/// <summary>The same work on a thread of this process or in a process of its own.</summary>
internal static class PeerWorkLoop
{
    /// <summary>Works until the flag is raised; never sleeps.</summary>
    internal static void Run(this PeerWork work, RingMemory memory, SharedFlag stopping)
    {
        switch (work)
        {
            case PeerWork.CacheLine:
                CacheLine.Return(memory.Ball, stopping);
                break;
            case PeerWork.SplitRing:
                EchoEnd.Serve(memory.SplitDevice(indirect: true, eventIndex: true), bell: null, WaitPolicy.Busy, stopping);
                break;
            case PeerWork.PackedRing:
                EchoEnd.Serve(memory.PackedDevice(indirect: true, eventIndex: true), bell: null, WaitPolicy.Busy, stopping);
                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(work), work, "no such work");
        }
    }
}
