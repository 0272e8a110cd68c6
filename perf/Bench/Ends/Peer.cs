using VmShunt.Ring.Memory;

namespace VmShunt.Perf.Bench.Ends;

/// <summary>Where the other end runs.</summary>
public enum PeerPlace
{
    /// <summary>On a thread of this process.</summary>
    Thread,

    /// <summary>In a process of its own that has mapped the same file.</summary>
    Process,
}

/// <summary>The other end of a round trip, running until it is disposed.</summary>
internal abstract class Peer : IDisposable
{
    /// <summary>Raised when it has ended, so that nobody waits for it for ever.</summary>
    internal SharedFlag Gone { get; } = new();

    internal static Peer Start(PeerPlace place, PeerWork work, RingMemory memory) => place switch
    {
        PeerPlace.Process => new ProcessPeer(work, memory),
        _ => new ThreadPeer(stopping => work.Run(memory, stopping)),
    };

    public abstract void Dispose();
}
