using VmShunt.Ring.Memory;

namespace VmShunt.Perf.Ends;

/// <summary>Where the other end runs.</summary>
public enum PeerPlace
{
    /// <summary>On a thread of this process.</summary>
    Thread,

    /// <summary>In a separate process that maps the same file.</summary>
    Process,
}

/// <summary>The other end of a round trip, running until it is disposed.</summary>
internal abstract class Peer : IDisposable
{
    /// <summary>Raised when the other end has exited, so that no thread waits for it forever.</summary>
    internal SharedFlag Exited { get; } = new();

    internal static Peer Start(PeerPlace place, PeerWork work, RingMemory memory) => place switch
    {
        PeerPlace.Process => new ProcessPeer(work, memory),
        _ => new ThreadPeer(stopping => work.Run(memory, stopping)),
    };

    public abstract void Dispose();
}
