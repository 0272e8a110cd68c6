using System.Collections.Concurrent;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;
using VmShunt.Ring.Serving;
using VmShunt.Trap.VfioUser;

namespace VmShunt.Tests.Trap.VfioUser;

/// <summary>A vfio-user server on its own socket, and the devices that it has created.</summary>
internal sealed class ServedDevices : IDisposable
{
    private readonly SessionListener _listener;
    private int _sessionCount, _disposed;

    internal ServedDevices(string? path = null)
    {
        Path = path ?? System.IO.Path.Combine(System.IO.Path.GetTempPath(), $"vmshunt-vfio-{Guid.NewGuid():N}");
        _listener = new SessionListener(Path, Serve, change => Interlocked.Add(ref _sessionCount, change));
    }

    internal string Path { get; }

    internal ConcurrentQueue<RegisterDevice> Devices { get; } = new();

    internal int SessionCount => Ordered.Load(ref _sessionCount);

    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) == 0) _listener.Dispose();
    }

    private void Serve(UnixConnection connection)
    {
        using var session = new VfioUserSession(connection, Create);
        try
        {
            session.Run();
        }
        catch (IOException)
        {
            // The client violated the protocol, as some tests intend.
        }
    }

    private RegisterDevice Create(VfioInterrupt interrupt)
    {
        var device = new RegisterDevice(interrupt);
        Devices.Enqueue(device);
        return device;
    }
}
