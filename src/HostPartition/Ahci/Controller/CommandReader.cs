using VmShunt.Trap.Ahci;

namespace VmShunt.AhciBackend.Controller;

/// <summary>
/// Reads an issued command from guest memory, each structure once, and executes it on the device. Runs on the worker thread
/// without the controller's lock; the port ignores the outcome of an aborted command.
/// </summary>
internal sealed class CommandReader(AtaDisk device, DmaGate gate)
{
    private readonly PrdtCursor _data = new(gate, device.BlockBytes);

    /// <summary>Executes a command. Whatever fails while it does is the command's: a fault of the host bus (AHCI 1.3.1 §6.1.1).</summary>
    internal AhciOutcome Run(AhciCommand command)
    {
        try
        {
            return Execute(command);
        }
        catch (Exception)
        {
            return Fault(PortInterrupt.HBFS);
        }
    }

    private AhciOutcome Execute(AhciCommand command)
    {
        if (command.FollowsReset) device.ResetLink();
        if (!TryRead(command, out var header, out var fis)) return Fault(PortInterrupt.HBFS);

        // The disk rejects a FIS that is too short, of another type, or for a port multiplier.
        if ((int)(header.Flags & CommandHeaderFlags.CFLMask) < HostToDeviceFis.Dwords
            || fis.Type != FisType.RegisterH2D || (fis.Flags & FisFlags.PMPortMask) != 0)
            return Fault(PortInterrupt.IFS);

        _data.Start(header.CommandTable + CommandTable.PRDT, header.PRDTL);
        var result = device.Execute(fis, _data, command.Outstanding);
        return new AhciOutcome(_data.Fault, result, _data.Transferred, _data.RaisesDescriptorProcessed);
    }

    private bool TryRead(AhciCommand command, out CommandHeader header, out HostToDeviceFis fis)
    {
        using var scope = gate.Enter(out var memory);
        header = default;
        fis = default;
        return memory is not null && memory.TryRead(command.HeaderAddress, out header) && memory.TryRead(header.CommandTable + CommandTable.CFIS, out fis);
    }

    private static AhciOutcome Fault(PortInterrupt fault) => new(fault, default, 0, false);
}
