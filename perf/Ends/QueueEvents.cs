using VmShunt.Ring.Interop;

namespace VmShunt.Perf.Ends;

/// <summary>The two eventfds of a virtqueue: kick notifies the device, call notifies the driver.</summary>
internal sealed class QueueEvents : IDisposable
{
    internal EventFd Kick { get; } = EventFd.Create();

    internal EventFd Call { get; } = EventFd.Create();

    public void Dispose()
    {
        Kick.Dispose();
        Call.Dispose();
    }
}
