using VmShunt.Ring.Interop;

namespace VmShunt.Perf.Bench.Ends;

/// <summary>The two eventfds of a ring whose ends may sleep: kick rings at the device, call at the driver.</summary>
internal sealed class Bell : IDisposable
{
    internal EventFd Kick { get; } = EventFd.Create();

    internal EventFd Call { get; } = EventFd.Create();

    public void Dispose()
    {
        Kick.Dispose();
        Call.Dispose();
    }
}
