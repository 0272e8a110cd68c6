using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;

namespace VmShunt.Ring.Serving;

/// <summary>A device's request to be called for one queue. It lasts as long as the session, while the queue starts and stops.</summary>
internal sealed class QueueWake : IDisposable
{
    private readonly SharedFlag _raised = new();

    /// <summary>Signalled by every request.</summary>
    internal EventFd Event { get; } = EventFd.Create();

    internal bool IsRaised => _raised.IsRaised;

    /// <summary>Makes the request. Any thread; no effect after disposal.</summary>
    internal void Raise()
    {
        // In this order: a thread that the event wakes sees the flag.
        _raised.Raise();
        try
        {
            Event.Signal();
        }
        catch (ObjectDisposedException)
        {
            // The session has closed.
        }
    }

    /// <summary>Accepts the request: a later one is a new one. The queue's thread.</summary>
    /// <returns>Whether there was one.</returns>
    internal bool TryAccept()
    {
        if (!_raised.IsRaised) return false;
        // Lowered before the device looks for work, so a request during that look is not lost.
        _raised.Lower();
        return true;
    }

    public void Dispose() => Event.Dispose();
}
