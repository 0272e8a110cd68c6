using System.Collections.Concurrent;
using VmShunt.Ring.Interop;
using VmShunt.Ring.VhostUser;

namespace VmShunt.Tests.Ring.VhostUser;

/// <summary>A back-end session on a thread of its own, and the other end of its socket.</summary>
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

    /// <summary>What the back-end had to say about refused messages.</summary>
    internal ConcurrentQueue<string> Reports { get; } = new();

    /// <summary>Why the session ended; null for an orderly end.</summary>
    internal string? End { get; private set; }

    /// <summary>Waits for the session's end, which leaves nothing running.</summary>
    internal string? WaitForEnd()
    {
        Assert.True(_thread.Join(60_000), "the session goes on");
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
