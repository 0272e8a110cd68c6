using VmShunt.HostPartition.Disk;
using VmShunt.Ring.Memory;
using VmShunt.Trap.Ahci;

namespace VmShunt.HostPartition.Ahci;

/// <summary>
/// A port with a disk: its registers and the state behind them (AHCI 1.3.1 §3.3, §5.3). Every member is called under
/// the controller's lock. At most one command is with the worker; once that is <em>abandoned</em> nothing of it is seen
/// any more, and whatever the driver waits for after a stop or a reset (CR, DET, HR) says so only when the worker has let
/// go of guest memory.
/// </summary>
/// <param name="abandoned">Raised while the worker has a command that is abandoned.</param>
/// <param name="stop">Raised while the worker has a command that must not wait for room on a full disk, abandoned or not.</param>
internal sealed class AhciPort(SharedFlag abandoned, SharedFlag stop)
{
    private readonly IssueQueue _queue = new();
    private ulong _commandList, _fisBase;
    private PortInterrupt _status, _enabled;
    private PortCommand _command;
    private uint _sataControl, _sataError, _issued, _signature;
    private AtaStatus _ataStatus;
    private AtaError _ataError;
    private int _slot;
    private bool _linkUp, _signatureUnsent, _halted;

    /// <summary>The memory that the HBA's DMA goes to, or null.</summary>
    internal GuestMemory? Memory { get; set; }

    /// <summary>Whether the worker has a command, and may use guest memory for it.</summary>
    internal bool IsRunning { get; private set; }

    /// <summary>Whether an HBA reset waits for the worker to let go.</summary>
    internal bool IsResetting { get; private set; }

    /// <summary>Whether the port asks for its bit in IS.</summary>
    internal bool IsInterruptPending => (Status & _enabled) != 0;

    /// <summary>Whether there is a command for the worker to take.</summary>
    internal bool HasWork => !IsRunning && IsStarted && _linkUp && !_halted && !_queue.IsEmpty;

    private bool IsStarted => (_command & PortCommand.ST) != 0;

    private PortInterrupt Status => _status
        | ((_sataError & SataLink.DIAG_X) != 0 ? PortInterrupt.PCS : 0)
        | ((_sataError & SataLink.DIAG_N) != 0 ? PortInterrupt.PRCS : 0)
        | ((_sataError & SataLink.DIAG_F) != 0 ? PortInterrupt.UFS : 0);

    private uint TaskFile
    {
        get
        {
            var busy = _linkUp && (IsRunning || (_issued != 0 && !_halted));
            return (uint)(busy ? _ataStatus | AtaStatus.BSY : _ataStatus) | (uint)_ataError << 8;
        }
    }

    // Spin-up and power are always on: CAP.SSS is 0 and there is no cold presence detection.
    private uint CommandAndStatus => (uint)(_command | PortCommand.SUD | PortCommand.POD
        | (IsStarted || IsRunning ? PortCommand.CR : 0)
        | ((_command & PortCommand.FRE) != 0 ? PortCommand.FR : 0)) | (uint)_slot << PortCommandFields.CCSShift;

    // A link that waits for the worker after a reset shows a device that does not talk yet, so the driver waits too.
    private uint SataStatus => (_sataControl & SataLink.DETMask) switch
    {
        _ when _linkUp => SataLink.DETEstablished | SataLink.SPDGen3 | SataLink.IPMActive,
        SataLink.DETReset => 0,
        SataLink.DETDisable => SataLink.DETOffline,
        _ => SataLink.DETPresent,
    };

    internal uint Read(int register) => register switch
    {
        PortRegister.PxCLB => (uint)_commandList,
        PortRegister.PxCLBU => (uint)(_commandList >> 32),
        PortRegister.PxFB => (uint)_fisBase,
        PortRegister.PxFBU => (uint)(_fisBase >> 32),
        PortRegister.PxIS => (uint)Status,
        PortRegister.PxIE => (uint)_enabled,
        PortRegister.PxCMD => CommandAndStatus,
        PortRegister.PxTFD => TaskFile,
        PortRegister.PxSIG => _signature,
        PortRegister.PxSSTS => SataStatus,
        PortRegister.PxSCTL => _sataControl,
        PortRegister.PxSERR => _sataError,
        PortRegister.PxCI => _issued,
        _ => 0,
    };

    internal void Write(int register, uint value)
    {
        switch (register)
        {
            case PortRegister.PxCLB:
                _commandList = _commandList & ~0xFFFF_FFFFUL | value & ~0x3FFU;
                break;
            case PortRegister.PxCLBU:
                _commandList = (uint)_commandList | (ulong)value << 32;
                break;
            case PortRegister.PxFB:
                _fisBase = _fisBase & ~0xFFFF_FFFFUL | value & ~0xFFU;
                break;
            case PortRegister.PxFBU:
                _fisBase = (uint)_fisBase | (ulong)value << 32;
                break;
            case PortRegister.PxIS:
                _status &= ~(PortInterrupt)value;
                break;
            case PortRegister.PxIE:
                _enabled = (PortInterrupt)value & PortInterrupt.All;
                break;
            case PortRegister.PxCMD:
                WriteCommand((PortCommand)value);
                break;
            case PortRegister.PxSCTL:
                WriteSataControl(value & SataLink.SControlWritable);
                break;
            case PortRegister.PxSERR:
                _sataError &= ~value;
                break;
            case PortRegister.PxCI:
                Issue(value);
                break;
        }
    }

    /// <summary>Hands the next command to the worker.</summary>
    internal bool TryTake(out AhciCommand command)
    {
        command = default;
        if (!HasWork) return false;
        _slot = _queue.Take();
        IsRunning = true;
        abandoned.Lower();
        stop.Lower();
        command = new AhciCommand(_slot, _commandList + (ulong)_slot * CommandHeader.SizeInBytes);
        return true;
    }

    /// <summary>Takes the command back from the worker, which uses guest memory for it no longer.</summary>
    /// <param name="command">The command.</param>
    /// <param name="outcome">What became of it.</param>
    /// <param name="memory">The memory it was run with.</param>
    internal void Complete(AhciCommand command, in AhciOutcome outcome, GuestMemory? memory)
    {
        IsRunning = false;
        if (!abandoned.IsRaised)
        {
            if (outcome is { Fault: PortInterrupt.None, Result.Report: AtaReport.Unfinished }) _queue.PutBack(command.Slot);
            else Conclude(command, outcome, memory);
            return;
        }
        IsResetting = false;
        if (!_linkUp) BringLinkUp();
    }

    /// <summary>HBA reset (AHCI 1.3.1 §10.4.3): all but the two base addresses is as after power-on.</summary>
    internal void Reset()
    {
        Abandon();
        _issued = 0;
        _halted = false;
        _command = PortCommand.None;
        _status = _enabled = PortInterrupt.None;
        _sataControl = _sataError = 0;
        _slot = 0;
        IsResetting = IsRunning;
        TakeLinkDown();
        BringLinkUp();
    }

    /// <summary>Power-on: the base addresses go as well. Follows a <see cref="Reset"/>.</summary>
    internal void ForgetAddresses() => _commandList = _fisBase = 0;

    /// <summary>No outcome of the running command, nor any waiting one, will be seen.</summary>
    internal void Abandon()
    {
        _queue.Clear();
        if (!IsRunning) return;
        abandoned.Raise();
        stop.Raise();
    }

    private void Issue(uint slots)
    {
        if (!IsStarted) return;
        var added = slots & ~_issued;
        _issued |= added;
        if (!_halted) _queue.Add(added);
    }

    private void WriteCommand(PortCommand value)
    {
        const PortCommand stored = PortCommand.ST | PortCommand.FRE | PortCommand.ATAPI | PortCommand.DLAE;
        var was = _command;
        _command = value & stored;
        if ((was & PortCommand.ST) != 0 && !IsStarted) Stop();
        // CLO has nothing to override: BSY is shown only while a command runs, and ends with it.
        if ((_command & ~was & PortCommand.FRE) != 0) SendSignature();
    }

    // Clearing ST clears PxCI and CCS, and ends an error stop (AHCI 1.3.1 §3.3.7, §6.2.2.1).
    private void Stop()
    {
        Abandon();
        _issued = 0;
        _slot = 0;
        _halted = false;
    }

    private void WriteSataControl(uint value)
    {
        _sataControl = value;
        if ((value & SataLink.DETMask) is SataLink.DETReset or SataLink.DETDisable) TakeLinkDown();
        else if (!_linkUp) BringLinkUp();
    }

    // The device forgets its commands. Their bits stay in PxCI: cleared, they would read as done. Only ST may do that.
    private void TakeLinkDown()
    {
        Abandon();
        _halted |= _issued != 0;
        _linkUp = false;
        _signature = SataLink.SignatureNone;
        _ataStatus = AtaStatus.NoDevice;
        _ataError = AtaError.None;
    }

    private void BringLinkUp()
    {
        if (IsRunning || (_sataControl & SataLink.DETMask) is SataLink.DETReset or SataLink.DETDisable) return;
        _linkUp = true;
        _sataError |= SataLink.DIAG_X;
        _signature = SataLink.SignatureAta;
        _ataStatus = AtaResult.Signature.Status;
        _ataError = AtaResult.Signature.Error;
        _signatureUnsent = true;
        SendSignature();
    }

    // The first frame after a reset waits for FRE; the registers have it at once.
    private void SendSignature()
    {
        if (!_signatureUnsent || (_command & PortCommand.FRE) == 0) return;
        _signatureUnsent = false;
        if (!TryPost(AtaResult.Signature, Memory)) _status |= PortInterrupt.HBFS;
    }

    private void Conclude(AhciCommand command, in AhciOutcome outcome, GuestMemory? memory)
    {
        if (outcome.Fault != PortInterrupt.None)
        {
            Halt(outcome.Fault);
            return;
        }
        if (memory is null
            || (outcome.Transferred > 0 && !memory.TryWrite(command.HeaderAddress + CommandHeader.PrdbcOffset, outcome.Transferred))
            || !TryPost(outcome.Result, memory))
        {
            Halt(PortInterrupt.HBFS);
            return;
        }
        _ataStatus = outcome.Result.Status;
        _ataError = outcome.Result.Error;
        if (outcome.DescriptorProcessed) _status |= PortInterrupt.DPS;
        _status |= outcome.Result.Report switch
        {
            AtaReport.Register => PortInterrupt.DHRS,
            AtaReport.PioSetup => PortInterrupt.PSS,
            _ => PortInterrupt.None,
        };
        if (outcome.Result.Failed) Halt(PortInterrupt.TFES);
        else _issued &= ~(1u << command.Slot);
    }

    // After an error nothing is processed, and the bit of the failed command stays, until the driver clears ST (§6.2.2).
    private void Halt(PortInterrupt why)
    {
        _status |= why;
        _halted = true;
        _queue.Clear();
    }

    private bool TryPost(in AtaResult result, GuestMemory? memory)
    {
        if ((_command & PortCommand.FRE) == 0 || result.Report == AtaReport.None) return true;
        if (memory is null) return false;
        if (result.Report == AtaReport.PioSetup)
        {
            return memory.TryWrite(_fisBase + ReceivedFis.PSFIS, new PioSetupFis
            {
                Type = FisType.PioSetup,
                Flags = FisFlags.D | FisFlags.I,
                Status = result.Status | AtaStatus.DRQ,
                Address = result.Address with { FeaturesHigh = 0 },
                EStatus = result.Status,
                TransferCount = HostClassDriver.SectorBytes,
            });
        }
        return memory.TryWrite(_fisBase + ReceivedFis.RFIS, new DeviceToHostFis
        {
            Type = FisType.RegisterD2H,
            Flags = result.Report == AtaReport.Register ? FisFlags.I : FisFlags.None,
            Status = result.Status,
            Error = result.Error,
            Address = result.Address with { FeaturesHigh = 0 },
        });
    }
}
