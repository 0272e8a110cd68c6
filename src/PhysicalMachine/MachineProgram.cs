using Microsoft.Extensions.Logging;
using VmShunt.BlockBackend;
using VmShunt.BlockBackend.Disk;
using VmShunt.Guest.Loader;

namespace VmShunt.PhysicalMachine;

/// <summary>Boots a physical machine with the loader of VM-C (the guest).</summary>
internal static class MachineProgram
{
    private static int Main(string[] args) => BoardOptions.Invoke(args, Run);

    private static int Run(BoardOptions options)
    {
        using var logging = LoggerFactory.Create(builder => builder.AddConsole(console => console.LogToStandardErrorThreshold = LogLevel.Trace));
        var log = logging.CreateLogger("machine");
        try
        {
            var port = DiskSpec.Open(options.Disk, options.ReadOnly, CacheMode.WriteBack, log);
            using var disk = new VirtualizationDriver(new HostClassDriver(port, log), options.Serial, HostClassDriver.SectorBytes);
            using var board = new Board(disk, options.MemoryBytes);
            return Loader.Boot(board, options.Command);
        }
        catch (Exception e) when (e is IOException or FormatException or BootException)
        {
            Console.Error.WriteLine($"vmshunt-machine: {e.Message}");
            return 1;
        }
    }
}
