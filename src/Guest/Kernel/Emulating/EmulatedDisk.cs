using VmShunt.BlockDriver.Memory;
using VmShunt.BlockDriver.Requests;
using VmShunt.Guest.Crash;
using VmShunt.Guest.Firmware.Ahci;
using VmShunt.Guest.Firmware.Machine;
using VmShunt.Guest.Firmware.Partitions;
using VmShunt.Guest.Machine;
using VmShunt.Guest.Mode;
using VmShunt.Guest.Shunt.AtRegisters;
using VmShunt.Trap.VmExit;

namespace VmShunt.Guest.Emulating;

/// <summary>
/// The emulating stack of one disk, with what belongs to it: class driver-em, the port with its driver, the interrupt, and
/// the crash path beside it. The shunt (<see cref="ShuntInstallation"/>) belongs to the disk and not to one stack: it
/// is in the way of every class driver that is put on the disk, whoever builds that, and whoever drives the port.
/// </summary>
internal sealed class EmulatedDisk : IDisposable
{
    private readonly GuestRam _ram;
    private readonly GuestPages _pages;
    private readonly CrashGate _crash;
    private readonly Lock _joining = new();
    private int _stacks;

    private EmulatedDisk(AhciHba hba, MachineProcessors processors, GuestRam ram, GuestPages pages, CrashGate crash, Action<Exception> machineCheck)
    {
        Hba = hba;
        Processors = processors;
        _ram = ram;
        _pages = pages;
        _crash = crash;
        Port = new EmulatedPort(new DiskGeometry(0, DiskClassDriver.SectorBytes, "", false));
        Layers = new StackLayers(Port);
        Registers = new RegisterShunt(processors, hba.Abar, ram.Memory, crash, machineCheck);
        Registers.Connect(Port.HandleInterrupt);
        Disk = BuildClassDriver();
    }

    /// <summary>The controller.</summary>
    internal AhciHba Hba { get; }

    /// <summary>What queries and people call the disk: sda is that of the first controller.</summary>
    internal string Name => NameOf(Hba);

    /// <summary>What queries and people call a controller's disk.</summary>
    internal static string NameOf(AhciHba hba) => $"sd{(char)('a' + hba.Device - 1)}";

    internal MachineProcessors Processors { get; }

    /// <summary>The port.</summary>
    internal EmulatedPort Port { get; }

    /// <summary>The controller's registers as port drivers reach them: the place for a shunt below the port driver.</summary>
    internal RegisterShunt Registers { get; }

    /// <summary>The places for a shunt above it.</summary>
    internal StackLayers Layers { get; }

    /// <summary>The kernel's class driver-em.</summary>
    internal DiskClassDriver Disk { get; }

    /// <summary>Whether queries may find the disk.</summary>
    internal DiskVisibility Visibility { get; } = new();

    internal IReadOnlyList<GptPartition> Partitions { get; private set; } = [];

    /// <summary>Null where <see cref="PrepareCrash"/> was not called.</summary>
    internal CrashPath? CrashPath { get; private set; }

    /// <summary>Whether <see cref="Remove"/> took the stack away.</summary>
    internal bool IsRemoved { get; private set; }

    /// <summary>Readies the stack on a controller whose port nobody drives yet: that is <see cref="JoinPort"/>.</summary>
    internal static EmulatedDisk Attach(
        AhciHba hba, MachineProcessors processors, InterruptProcessor interrupts, GuestRam ram, GuestPages pages, CrashGate crash, Action<Exception> machineCheck)
    {
        var disk = new EmulatedDisk(hba, processors, ram, pages, crash, machineCheck);
        interrupts.Handle(GuestLayout.FirstVector + hba.Device - 1, disk.Registers.HandleInterrupt);
        return disk;
    }

    /// <summary>Readies the crash path, which reads the partition table; before anybody drives the port.</summary>
    /// <exception cref="IOException">There is no working disk.</exception>
    internal void PrepareCrash(IMachine machine, Hypervisor? hypervisor)
    {
        CrashPath = new CrashPath(Processors.Start(), hypervisor, Hba, machine, Processors);
        Partitions = CrashPath.FindPartitions();
    }

    /// <summary>A class driver on this disk: its requests meet the shunt.</summary>
    internal DiskClassDriver BuildClassDriver(string stackName = "emulating") => new(Layers, _crash) { StackName = stackName };

    /// <summary>
    /// A stack more is on the port. If nobody drives it, a new port driver-em over these registers does from now on;
    /// otherwise the stack shares the one that is there: a port has one command list, and so one driver at a time.
    /// </summary>
    /// <returns>Whether the new driver drives the port.</returns>
    /// <exception cref="IOException">There is no working disk.</exception>
    internal bool JoinPort(IMmio registers)
    {
        lock (_joining)
        {
            var isFree = !Port.IsDriven;
            if (isFree) Port.Drive(AhciPortDriver.Start(registers, Hba, _ram, _pages, Port.Costs));
            _stacks++;
            return isFree;
        }
    }

    /// <summary>A stack is gone from the port, with nothing in flight. With the last one its driver goes, and the port is free.</summary>
    internal void LeavePort()
    {
        lock (_joining)
        {
            if (--_stacks == 0) Port.Release();
        }
    }

    /// <summary>
    /// Takes the kernel's stack away: requests inside end, later ones are refused. The port goes to whoever builds the next
    /// stack, unless another is on it; the shunt stays.
    /// The crash path goes with the stack: its dump would take the same road. Not from a completion's thread.
    /// </summary>
    internal void Remove()
    {
        Disk.Close();
        LeavePort();
        CrashPath?.GiveUp();
        IsRemoved = true;
    }

    public void Dispose()
    {
        Port.Release();
        // What waits for a road gets none any more.
        Port.Detour(new RefusingDriver(Port.Geometry));
        Registers.Dispose();
    }
}
