using VmShunt.Ring.Memory;
using VmShunt.Trap.Ahci;

namespace VmShunt.Guest.Shunt.AtRegisters;

/// <summary>
/// The shunt's copy of the port's registers: the values that the driver wrote (addresses, enables), and the status of
/// commands completed on the ring path, which it reports as the hardware does. Called under the shunt's lock.
/// </summary>
internal sealed class RegisterShuntPort(GuestMemory memory)
{
    /// <summary>The registers whose values <see cref="Note"/> keeps, in an order in which they can be read from the controller.</summary>
    internal static IReadOnlyList<int> Shadowed { get; } =
    [
        HbaRegister.Ports + PortRegister.PxCLB, HbaRegister.Ports + PortRegister.PxCLBU,
        HbaRegister.Ports + PortRegister.PxFB, HbaRegister.Ports + PortRegister.PxFBU,
        HbaRegister.Ports + PortRegister.PxIE, HbaRegister.Ports + PortRegister.PxCMD, HbaRegister.GHC,
    ];

    private ulong _commandList, _fisBase;
    private PortInterrupt _enabled;
    private PortCommand _command;
    private bool _interruptEnabled;

    /// <summary>PxIS, the shunt's part.</summary>
    internal PortInterrupt Status { get; private set; }

    /// <summary>IS, the shunt's part.</summary>
    internal uint Summary { get; private set; }

    /// <summary>Whether the last command to complete was on the ring path: PxTFD is then its status.</summary>
    internal bool HasTaskFile { get; set; }

    internal bool IsStarted => (_command & PortCommand.ST) != 0;

    internal bool ReceivesFis => (_command & PortCommand.FRE) != 0;

    /// <summary>Whether the shunt's status raises the interrupt line.</summary>
    internal bool InterruptLevel => _interruptEnabled && Summary != 0;

    internal ulong HeaderAddress(int slot) => _commandList + (ulong)slot * CommandHeader.SizeInBytes;

    /// <summary>Whether the command header and the received-FIS area are in guest memory.</summary>
    internal bool CanReport(int slot) =>
        memory.TryGetWindow(HeaderAddress(slot), CommandHeader.SizeInBytes, out _) && memory.TryGetWindow(_fisBase, ReceivedFis.SizeInBytes, out _);

    /// <summary>Keeps a value that the driver writes to a register.</summary>
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

    /// <summary>HBA reset: all but the addresses (AHCI 1.3.1 §10.4.3).</summary>
    internal void Reset()
    {
        Status = _enabled = PortInterrupt.None;
        Summary = 0;
        _command = PortCommand.None;
        _interruptEnabled = HasTaskFile = false;
    }

    /// <summary>Sets IS while an enabled status bit is set: the driver clears PxIS first, then IS.</summary>
    internal void UpdateSummary()
    {
        if ((Status & _enabled) != 0) Summary |= 1;
    }

    /// <summary>Writes PRDBC and the Register FIS of a completed command and sets its status (AHCI 1.3.1 §5.3.10, §5.3.13).</summary>
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
