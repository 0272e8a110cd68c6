using VmShunt.Ring.Files;
using VmShunt.Ring.Interop;
using VmShunt.Trap.VmExit;

namespace VmShunt.Tests.Trap.VmExit;

/// <summary>A hypervisor's end that accepts one guest and calls the test for each exit.</summary>
internal sealed class ScriptedHypervisor : IDisposable
{
    private readonly UnixListener _listener;
    private readonly Thread _thread;

    /// <param name="onExit">Answers an exit; false closes the connection.</param>
    internal ScriptedHypervisor(Func<ProcessorChannel, ExitRecord, bool> onExit)
    {
        Path = System.IO.Path.Combine(System.IO.Path.GetTempPath(), $"vmshunt-hv-{Guid.NewGuid():N}");
        _listener = UnixListener.Bind(Path);
        _thread = new Thread(() => Serve(onExit));
        _thread.Start();
    }

    internal string Path { get; }

    public void Dispose()
    {
        _thread.Join();
        _listener.Dispose();
    }

    private void Serve(Func<ProcessorChannel, ExitRecord, bool> onExit)
    {
        using var channel = new ProcessorChannel(_listener.Accept());
        if (!channel.TryReceiveHello(out var hello)) return;
        using var memory = SharedMemoryFile.Create("test", (long)hello.MemoryBytes);
        using var reserve = SharedMemoryFile.Create("test", GuestLayout.CrashReserveBytes);
        using var dump = SharedMemoryFile.Create("test", (long)hello.MemoryBytes);
        channel.Accept(
            new Welcome
            {
                PartitionId = 5,
                DeviceCount = 1,
                RamBytes = hello.MemoryBytes,
                LowBytes = hello.MemoryBytes,
                CrashReserveAddress = GuestLayout.CrashReserveAddress,
                CrashReserveBytes = GuestLayout.CrashReserveBytes,
                EcamAddress = GuestLayout.EcamAddress,
            },
            memory,
            reserve,
            dump);
        try
        {
            while (channel.TryReceiveExit(out var exit) && onExit(channel, exit))
            {
            }
        }
        catch (IOException)
        {
            // The guest disconnected before its answer.
        }
    }
}
