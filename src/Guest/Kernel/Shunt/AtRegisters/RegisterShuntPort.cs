using VmShunt.Ring.Memory;
using VmShunt.Trap.Ahci;

namespace VmShunt.Guest.Shunt.AtRegisters;

/// <summary>
/// What the shunt keeps of the port's registers: what the driver wrote there (addresses, enables), and the status that
/// shunted commands gave rise to. Reports a done command as the hardware does. Every member is called under the shunt's lock.
/// </summary>
internal sealed class RegisterShuntPort(GuestMemory memory)
{
    private ulong _commandList, _fisBase;
    private PortInterrupt _enabled;
    private PortCommand _command;
    private bool _interruptEnabled;

    /// <summary>PxIS, the shunt's part.</summary>
    internal PortInterrupt Status { get; private set; }

    /// <summary>IS, the shunt's part.</summary>
    internal uint Summary { get; private set; }

    /// <summary>Whether the last command that ended was a shunted one: then PxTFD is what that one left.</summary>
    internal bool HasTaskFile { get; set; }

    internal bool IsStarted => (_command & PortCommand.ST) != 0;

    internal bool ReceivesFis => (_command & PortCommand.FRE) != 0;

    /// <summary>Whether the line is raised by what the shunt reports.</summary>
    internal bool InterruptLevel => _interruptEnabled && Summary != 0;

    internal ulong HeaderAddress(int slot) => _commandList + (ulong)slot * CommandHeader.SizeInBytes;

    /// <summary>Whether a command's outcome can be written where the driver wants it.</summary>
    internal bool CanReport(int slot) =>
        memory.TryGetWindow(HeaderAddress(slot), CommandHeader.SizeInBytes, out _) && memory.TryGetWindow(_fisBase, ReceivedFis.SizeInBytes, out _);

    /// <summary>Notes what the driver writes to a register whose value the shunt needs.</summary>
    internal void Note(int register, uint value)
    {
        switch (register)
        {
            case HbaRegister.GHC:
                _interruptEnabled = ((GlobalHostControl)value & GlobalHostControl.IE) != 0;
                break;
            case HbaRegister.IS:
                Summary &= ~value;
                break;
            case HbaRegister.Ports + PortRegister.PxCLB:
                _commandList = _commandList & ~0xFFFF_FFFFUL | value & ~0x3FFU;
                break;
            case HbaRegister.Ports + PortRegister.PxCLBU:
                _commandList = (uint)_commandList | (ulong)value << 32;
                break;
            case HbaRegister.Ports + PortRegister.PxFB:
                _fisBase = _fisBase & ~0xFFFF_FFFFUL | value & ~0xFFU;
                break;
            case HbaRegister.Ports + PortRegister.PxFBU:
                _fisBase = (uint)_fisBase | (ulong)value << 32;
                break;
            case HbaRegister.Ports + PortRegister.PxIS:
                Status &= ~(PortInterrupt)value;
                break;
            case HbaRegister.Ports + PortRegister.PxIE:
                _enabled = (PortInterrupt)value;
                break;
            case HbaRegister.Ports + PortRegister.PxCMD:
                _command = (PortCommand)value;
                break;
        }
    }

    /// <summary>HBA reset: everything but the addresses (AHCI 1.3.1 §10.4.3).</summary>
    internal void Reset()
    {
        Status = _enabled = PortInterrupt.None;
        Summary = 0;
        _command = PortCommand.None;
        _interruptEnabled = HasTaskFile = false;
    }

    /// <summary>What is enabled and pending shows in IS, again and again until the driver clears it there and here.</summary>
    internal void UpdateSummary()
    {
        if ((Status & _enabled) != 0) Summary |= 1;
    }

    /// <summary>Writes PRDBC and the Register FIS of a command that is done, and sets its status (AHCI 1.3.1 §5.3.10, §5.3.13).</summary>
    internal void Report(RegisterShuntCommand command)
    {
        if (command.TableBytes > 0) memory.TryWrite(HeaderAddress(command.Slot) + CommandHeader.PrdbcOffset, command.TableBytes);
        if (ReceivesFis)
        {
            memory.TryWrite(_fisBase + ReceivedFis.RFIS, new DeviceToHostFis
            {
                Type = FisType.RegisterD2H,
                Flags = FisFlags.I,
                Status = AtaStatus.Ready,
                Address = command.Registers with { FeaturesHigh = 0 },
            });
        }
        Status |= PortInterrupt.DHRS;
        if (command.RaisesDescriptorProcessed) Status |= PortInterrupt.DPS;
        HasTaskFile = true;
    }
}
