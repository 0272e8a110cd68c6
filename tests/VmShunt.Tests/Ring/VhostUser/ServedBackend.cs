using System.Collections.Concurrent;
using VmShunt.Ring.Interop;
using VmShunt.Ring.VhostUser;

namespace VmShunt.Tests.Ring.VhostUser;

/// <summary>A back-end session on its own thread, and the front-end's end of its socket.</summary>
internal sealed class ServedBackend : IDisposable
{
    private readonly Thread _thread;
    private Exception? _fault;

    internal ServedBackend(EchoDevice? device = null)
    {
        Device = device ?? new EchoDevice();
        (Socket, var mine) = UnixConnection.CreatePair();
        Backend = new VhostUserBackend(new VhostUserConnection(mine), Device, Reports.Enqueue);
        _thread = new Thread(() =>
        {
            try
            {
                using (Backend) End = Backend.Run();
            }
            catch (Exception e)
            {
                _fault = e;
            }
        });
        _thread.Start();
    }

    internal EchoDevice Device { get; }

    internal VhostUserBackend Backend { get; }

    /// <summary>The front-end's end of the socket.</summary>
    internal UnixConnection Socket { get; }

    /// <summary>The reports about refused messages.</summary>
    internal ConcurrentQueue<string> Reports { get; } = new();

    /// <summary>Why the session failed; null when the front-end closed it.</summary>
    internal string? End { get; private set; }

    /// <summary>Whether the session's thread waits for something other than a message, such as a ring's stop.</summary>
    internal bool IsWaiting => _thread.ThreadState.HasFlag(ThreadState.WaitSleepJoin);

    /// <summary>Waits until the session completes; no ring runs then.</summary>
    internal string? WaitForEnd()
    {
        Assert.True(_thread.Join(30_000), "the session does not complete");
        Assert.Null(_fault);
        Assert.Equal(0, Device.Running);
        return End;
    }

    public void Dispose()
    {
        Socket.Dispose();
        WaitForEnd();
    }
}
