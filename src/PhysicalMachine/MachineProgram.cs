using VmShunt.BlockBackend;
using VmShunt.BlockBackend.Disk;
using VmShunt.Guest.Loader;
using VmShunt.Terminal;

namespace VmShunt.PhysicalMachine;

/// <summary>Boots a physical machine with the loader of VM-C (the guest).</summary>
internal static class MachineProgram
{
    private static int Main(string[] args) => BoardOptions.Invoke(args, Run);

    private static int Run(BoardOptions options)
    {
        using var log = new ProgramLog("machine", options.Log);
        var port = DiskSpec.Open(options.Disk, options.ReadOnly, CacheMode.WriteBack, log.Logger);
        using var disk = new VirtualizationDriver(new HostClassDriver(port, log.Logger), options.Serial, HostClassDriver.SectorBytes);
        using var board = new Board(disk, options.MemoryBytes);
        return Loader.Boot(board, options.Command);
    }
}
