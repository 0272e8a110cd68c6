using VmShunt.Guest.Block;
using VmShunt.Guest.Crash;
using VmShunt.Guest.Emulating;
using VmShunt.Guest.Firmware.Ahci;
using VmShunt.Guest.Firmware.Disk;
using VmShunt.Guest.Firmware.Machine;
using VmShunt.Guest.Machine;
using VmShunt.Guest.Memory;
using VmShunt.Guest.Shunt;
using VmShunt.Trap.VmExit;

namespace VmShunt.Guest;

/// <summary>
/// The emulating stack of one disk, with what belongs to it: class driver-em, shunt, port driver-em, the interrupt, and
/// the crash path beside it.
/// </summary>
internal sealed class EmulatedDisk : IDisposable
{
    private EmulatedDisk(AhciPortDriver port, MachineProcessors processors, CrashStop crash)
    {
        Port = port;
        Processors = processors;
        Shunt = new ShuntDriver(port);
        Disk = new DiskClassDriver(Shunt, crash);
    }

    internal MachineProcessors Processors { get; }

    /// <summary>Port driver-em.</summary>
    internal AhciPortDriver Port { get; }

    internal ShuntDriver Shunt { get; }

    internal DiskClassDriver Disk { get; }

    internal IReadOnlyList<GptPartition> Partitions { get; private set; } = [];

    /// <summary>Null when the disk has no dump partition.</summary>
    internal CrashPath? CrashPath { get; private set; }

    internal static EmulatedDisk Start(
        IMachine machine, MachineProcessors processors, Hypervisor? hypervisor, AhciHba hba, GuestRam ram, GuestPages pages, CrashStop crash,
        Action<Exception> machineCheck, Action busChanged)
    {
        var interrupts = new InterruptProcessor(processors.Start(), crash, machineCheck);
        var port = AhciPortDriver.Start(processors, hba, ram, pages);
        interrupts.Handle(GuestLayout.FirstVector + hba.Device - 1, port.HandleInterrupt);
        interrupts.Handle(GuestLayout.BusVector, busChanged);
        interrupts.Start();

        var disk = new EmulatedDisk(port, processors, crash);
        if (Gpt.TryRead(new DiskSectorReader(disk.Disk, pages), out var table, out _))
        {
            disk.Partitions = table.Partitions;
            if (table.Find(PartitionTypes.Dump) is { } dump)
                disk.CrashPath = new CrashPath(processors.Start(), hypervisor, hba, machine, ram, dump, processors);
        }
        return disk;
    }

    public void Dispose() => Port.Dispose();
}
