using VmShunt.Ring.Memory;
using VmShunt.Trap.Ahci;

namespace VmShunt.AhciBackend.Controller;

/// <summary>
/// Reads an issued command from guest memory, each structure once, and executes it on the device. Runs on the worker thread
/// without a lock; the port ignores the outcome of an aborted command.
/// </summary>
internal sealed class CommandReader(AtaDisk device, SharedFlag aborted)
{
    private readonly PrdtCursor _data = new(aborted);

    internal AhciOutcome Run(AhciCommand command, GuestMemory? memory)
    {
        if (memory is null || !memory.TryRead<CommandHeader>(command.HeaderAddress, out var header))
            return Fault(PortInterrupt.HBFS);
        var table = header.CommandTable;
        if (!memory.TryRead<HostToDeviceFis>(table + CommandTable.CFIS, out var fis)) return Fault(PortInterrupt.HBFS);

        // The disk rejects a FIS that is too short, of another type, or for a port multiplier.
        if ((int)(header.Flags & CommandHeaderFlags.CFLMask) < HostToDeviceFis.Dwords
            || fis.Type != FisType.RegisterH2D || (fis.Flags & FisFlags.PMPortMask) != 0)
            return Fault(PortInterrupt.IFS);

        _data.Start(memory, table + CommandTable.PRDT, header.PRDTL);
        var result = device.Execute(fis, _data);
        return new AhciOutcome(_data.Fault, result, _data.Transferred, _data.RaisesDescriptorProcessed);
    }

    private static AhciOutcome Fault(PortInterrupt fault) => new(fault, default, 0, false);
}
