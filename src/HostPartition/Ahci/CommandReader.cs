using VmShunt.Ring.Memory;
using VmShunt.Trap.Ahci;

namespace VmShunt.HostPartition.Ahci;

/// <summary>
/// Fetches an issued command out of guest memory, each structure once, and has the device do it. Runs on the worker
/// thread without any lock; whether anyone still wants the outcome is the port's affair.
/// </summary>
internal sealed class CommandReader(AtaDisk device, SharedFlag abandoned)
{
    private readonly PrdtCursor _data = new(abandoned);

    internal AhciOutcome Run(AhciCommand command, GuestMemory? memory)
    {
        if (memory is null || !memory.TryRead<CommandHeader>(command.HeaderAddress, out var header))
            return Fault(PortInterrupt.HBFS);
        var table = header.CommandTable;
        if (!memory.TryRead<HostToDeviceFis>(table + CommandTable.CFIS, out var fis)) return Fault(PortInterrupt.HBFS);

        // A frame that is cut short, of another type or for a port multiplier is one that the disk does not take.
        if ((int)(header.Flags & CommandHeaderFlags.CFLMask) < HostToDeviceFis.Dwords
            || fis.Type != FisType.RegisterH2D || (fis.Flags & FisFlags.PMPortMask) != 0)
            return Fault(PortInterrupt.IFS);

        _data.Start(memory, table + CommandTable.PRDT, header.PRDTL);
        var result = device.Execute(fis, _data);
        return new AhciOutcome(_data.Fault, result, _data.Transferred, _data.RaisesDescriptorProcessed);
    }

    private static AhciOutcome Fault(PortInterrupt fault) => new(fault, default, 0, false);
}
