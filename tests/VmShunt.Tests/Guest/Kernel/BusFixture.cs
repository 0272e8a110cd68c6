using VmShunt.BlockBackend.Disk;

namespace VmShunt.Tests.Guest.Kernel;

/// <summary>A kernel that has only the bus, with a disk of 8 MiB, shared by the tests of a class. Its disk is empty at first.</summary>
public sealed class BusFixture : IDisposable
{
    private readonly ServedSocket _socket = new(new MemoryPortDriver(8 << 20));

    public BusFixture() => Guest = RunningKernel.OverBus(_socket.Path, ServedSocket.Queues);

    internal RunningKernel Guest { get; }

    internal void Disconnect() => _socket.Disconnect();

    public void Dispose()
    {
        Guest.Dispose();
        _socket.Dispose();
    }
}
