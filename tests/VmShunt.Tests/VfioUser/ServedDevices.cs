using System.Collections.Concurrent;
using VmShunt.Trap.VfioUser;

namespace VmShunt.Tests.VfioUser;

/// <summary>A vfio-user server on a socket of its own, and the devices that it has made.</summary>
internal sealed class ServedDevices : IDisposable
{
    private readonly VfioUserServer _server;

    internal ServedDevices(string? path = null)
    {
        Path = path ?? System.IO.Path.Combine(System.IO.Path.GetTempPath(), $"vmshunt-vfio-{Guid.NewGuid():N}");
        _server = new VfioUserServer(Path, Create, Reports.Enqueue);
    }

    internal string Path { get; }

    internal ConcurrentQueue<RegisterDevice> Devices { get; } = new();

    internal ConcurrentQueue<string> Reports { get; } = new();

    internal int SessionCount => _server.SessionCount;

    public void Dispose() => _server.Dispose();

    private RegisterDevice Create(VfioInterrupt interrupt)
    {
        var device = new RegisterDevice(interrupt);
        Devices.Enqueue(device);
        return device;
    }
}
