using VmShunt.BlockDriver.Memory;
using VmShunt.BlockDriver.Requests;
using VmShunt.Guest.Crash;
using VmShunt.Guest.Firmware.Ahci;
using VmShunt.Guest.Firmware.Machine;
using VmShunt.Guest.Firmware.Partitions;
using VmShunt.Guest.Machine;
using VmShunt.Guest.Requests;
using VmShunt.Ring.Memory;
using VmShunt.Trap.VmExit;

namespace VmShunt.Guest.Emulating;

/// <summary>
/// The emulating stack of one disk: class driver (emulating), the port with its driver, the interrupt, and the crash path.
/// A shunt is put into <see cref="Layers"/> or, with <see cref="Exchange"/>, in front of the registers. It belongs to the
/// disk: every class driver on the disk passes it, and every driver of the port.
/// </summary>
internal sealed class EmulatedDisk : IDisposable
{
    private readonly GuestPages _pages;
    private readonly Lock _joining = new();
    private int _stacks;
    private bool _isRemoved;

    private EmulatedDisk(AhciHba hba, MachineProcessors processors, GuestRam ram, GuestPages pages, CrashGate crash, Action<Exception> machineCheck)
    {
        Hba = hba;
        Processors = processors;
        Ram = ram;
        _pages = pages;
        Crash = crash;
        MachineCheck = machineCheck;
        Port = new EmulatedPort(new DiskGeometry(0, DiskClassDriver.SectorBytes, "", false), processors);
        Layers = new StackLayers(Port);
        Disk = BuildClassDriver();
    }

    /// <summary>The controller.</summary>
    internal AhciHba Hba { get; }

    /// <summary>The disk's name: sda is on the first controller.</summary>
    internal string Name => NameOf(Hba);

    /// <summary>The name of a controller's disk.</summary>
    internal static string NameOf(AhciHba hba) => $"sd{(char)('a' + hba.Device - 1)}";

    internal MachineProcessors Processors { get; }

    internal GuestRam Ram { get; }

    /// <summary>Stops the disk's threads when the machine crashes.</summary>
    internal CrashGate Crash { get; }

    /// <summary>Called when the machine fails under one of the disk's threads.</summary>
    internal Action<Exception> MachineCheck { get; }

    internal EmulatedPort Port { get; }

    /// <summary>The controller's registers as port drivers reach them.</summary>
    internal RegisterPath Registers => Port.Registers;

    /// <summary>The positions for a shunt above the port driver.</summary>
    internal StackLayers Layers { get; }

    /// <summary>The kernel's class driver (emulating).</summary>
    internal DiskClassDriver Disk { get; }

    /// <summary>Whether queries of applications find the disk.</summary>
    internal DiskVisibility Visibility { get; } = new();

    internal IReadOnlyList<GptPartition> Partitions { get; private set; } = [];

    /// <summary>Null where <see cref="PrepareCrash"/> was not called.</summary>
    internal CrashPath? CrashPath { get; private set; }

    /// <summary>Whether the kernel's stack was removed.</summary>
    internal bool IsRemoved => Ordered.Load(ref _isRemoved);

    /// <summary>Prepares the stack on a controller whose port has no driver until <see cref="JoinPort"/>.</summary>
    internal static EmulatedDisk Attach(
        AhciHba hba, MachineProcessors processors, InterruptProcessor interrupts, GuestRam ram, GuestPages pages, CrashGate crash, Action<Exception> machineCheck)
    {
        var disk = new EmulatedDisk(hba, processors, ram, pages, crash, machineCheck);
        interrupts.Handle(GuestLayout.FirstVector + hba.Device - 1, disk.Registers.HandleInterrupt);
        return disk;
    }

    /// <summary>Prepares the crash path, which reads the partition table. Before the port has a driver.</summary>
    /// <exception cref="IOException">There is no working disk.</exception>
    internal void PrepareCrash(IMachine machine, Hypervisor? hypervisor)
    {
        CrashPath = new CrashPath(Processors.Start(), hypervisor, Hba, machine, Processors);
        Partitions = CrashPath.FindPartitions();
    }

    /// <summary>Builds a class driver on this disk; its requests pass the shunt.</summary>
    internal DiskClassDriver BuildClassDriver(string stackName = "emulating") => new(Layers, Crash) { StackName = stackName };

    /// <summary>
    /// Adds a stack to the port. If the port has no driver, it gets a new one that uses <paramref name="registers"/>;
    /// otherwise the stack shares the driver.
    /// </summary>
    /// <returns>Whether the port got a new driver.</returns>
    /// <exception cref="IOException">There is no working disk.</exception>
    internal bool JoinPort(IMmio registers)
    {
        lock (_joining)
        {
            var isFree = !Port.IsDriven;
            if (isFree) Port.Drive(AhciPortDriver.Start(registers, Hba, Ram, _pages, Port.Costs));
            _stacks++;
            return isFree;
        }
    }

    /// <summary>Removes a stack, which has no request in flight, from the port. The last one releases the port.</summary>
    internal void LeavePort()
    {
        lock (_joining)
        {
            if (--_stacks == 0) Port.Release();
        }
    }

    /// <summary>Puts a layer between the port driver and the registers, or with null removes it, while requests keep coming.</summary>
    internal void Exchange(IRegisterLayer? layer)
    {
        lock (_joining) Port.Exchange(layer);
    }

    /// <summary>
    /// Removes the kernel's stack: its requests complete, later ones are refused. The shunt stays, and the port is free for
    /// the next stack unless another one uses it. The crash path can dump no longer, because it would use this stack's
    /// controller. Not from a completion's thread.
    /// </summary>
    internal void Remove()
    {
        Disk.Close();
        LeavePort();
        CrashPath?.GiveUp();
        Ordered.Store(ref _isRemoved, true);
    }

    public void Dispose()
    {
        lock (_joining) Port.Release();
        // Held requests fail: no driver comes any more.
        Port.Detour(new RefusingDriver(Port.Geometry));
    }
}
