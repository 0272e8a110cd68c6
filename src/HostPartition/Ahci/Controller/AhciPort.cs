using System.Numerics;
using VmShunt.BlockBackend.Disk;
using VmShunt.Ring.Memory;
using VmShunt.Trap.Ahci;

namespace VmShunt.AhciBackend.Controller;

/// <summary>
/// A port with a disk: its registers and the state behind them (AHCI 1.3.1 §3.3, §5.3). All members are called under the
/// controller's lock. The worker executes at most one command at a time. An <em>aborted</em> command has no visible outcome and
/// touches no guest memory, so a stop or a reset is complete at once; the port is busy (BSY) until the disk has finished it.
/// </summary>
/// <param name="gate">Keeps aborted commands out of guest memory.</param>
/// <param name="disk">Learns of aborted commands that it has not finished.</param>
internal sealed class AhciPort(DmaGate gate, VirtualizationDriver disk)
{
    private readonly IssueQueue _queue = new();
    private ulong _commandList, _fisBase;
    private PortInterrupt _status, _enabled;
    private PortCommand _command;
    // The last two: PxSACT, and those of its tags that the device has executed and not reported yet.
    private uint _sataControl, _sataError, _issued, _signature, _active, _done;
    private AtaStatus _ataStatus;
    private AtaError _ataError;
    private int _slot;
    private bool _linkUp, _signatureUnsent, _halted, _isEmpty, _isUnplugging, _isUnplugged, _wasReset, _isUnread, _overlaps;

    /// <summary>The memory for the HBA's DMA, or null.</summary>
    internal GuestMemory? Memory { get; set; }

    /// <summary>Whether the worker executes a command, which may have been aborted.</summary>
    internal bool IsRunning { get; private set; }

    /// <summary>Whether any interrupt is enabled.</summary>
    internal bool EnablesInterrupts => _enabled != 0;

    /// <summary>Whether an enabled interrupt bit is set: the port's bit in IS is to be set.</summary>
    internal bool IsInterruptPending => (Status & _enabled) != 0;

    /// <summary>Commands that are ready for the worker.</summary>
    internal int ReadyCount => !IsRunning && IsStarted && _linkUp && !_halted ? _queue.Count : 0;

    private bool IsEmpty => _isEmpty || _isUnplugged;

    /// <summary>How many queued commands the device has executed and not reported.</summary>
    internal int HeldCount => BitOperations.PopCount(_done);

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

    // SUD and POD read as 1: the HBA has neither staggered spin-up (CAP.SSS is 0) nor cold presence detection.
    private uint CommandAndStatus => (uint)(_command | PortCommand.SUD | PortCommand.POD
        | (IsStarted ? PortCommand.CR : 0)
        | ((_command & PortCommand.FRE) != 0 ? PortCommand.FR : 0)) | (uint)_slot << PortCommandFields.CCSShift;

    private uint SataStatus => (_sataControl & SataLink.DETMask) switch
    {
        _ when IsEmpty => 0,
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
        PortRegister.PxSACT => ReadActive(),
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
            case PortRegister.PxSACT:
                if (IsStarted) _active |= value;
                break;
            case PortRegister.PxCI:
                Issue(value);
                break;
        }
    }

    /// <summary>
    /// Reports the held queued commands: one Set Device Bits FIS and one interrupt for all of them (AHCI 1.3.1 §5.3.14).
    /// </summary>
    /// <returns>Whether the driver had more than one command in flight meanwhile.</returns>
    internal bool Report()
    {
        if (Memory is null || !TryPost(AtaStatus.Ready, AtaError.None, _done))
        {
            Halt(PortInterrupt.HBFS);
            return false;
        }
        _active &= ~_done;
        _done = 0;
        _status |= PortInterrupt.SDBS;
        _ataStatus = AtaStatus.Ready;
        _ataError = AtaError.None;
        _isUnread = true;
        var overlapped = _overlaps;
        _overlaps = false;
        return overlapped;
    }

    /// <summary>Starts the next issued command on the worker.</summary>
    internal bool TryStartNext(out AhciCommand command)
    {
        command = default;
        if (ReadyCount == 0) return false;
        _slot = _queue.Pop();
        IsRunning = true;
        gate.Begin();
        command = new AhciCommand(_slot, _commandList + (ulong)_slot * CommandHeader.SizeInBytes, _done, _wasReset);
        _wasReset = false;
        return true;
    }

    /// <summary>Completes the worker's command.</summary>
    internal void Complete(AhciCommand command, in AhciOutcome outcome)
    {
        IsRunning = false;
        if (gate.Aborted.IsRaised) disk.EndLateCommand();
        else Conclude(command, outcome);
    }

    /// <summary>HBA reset (AHCI 1.3.1 §10.4.3): all state but the two base addresses is as after power-on.</summary>
    internal void Reset()
    {
        _issued = _active = 0;
        _halted = false;
        _command = PortCommand.None;
        _status = _enabled = PortInterrupt.None;
        _sataControl = _sataError = 0;
        _slot = 0;
        TakeLinkDown();
        BringLinkUp();
    }

    /// <summary>Takes the disk out of the port, or puts it in.</summary>
    internal void SetDisk(bool isPresent)
    {
        if (_isEmpty != isPresent) return;
        _isEmpty = !isPresent;
        TakeLinkDown();
        BringLinkUp();
    }

    /// <summary>
    /// Unplugs the disk when the commands issued so far are complete; later ones are not executed. The driver sees the loss of the
    /// link (PxSERR.DIAG.N, PxIS.PRCS; AHCI 1.3.1 §3.3.12, §3.3.5).
    /// </summary>
    /// <returns>Whether it is unplugged.</returns>
    internal bool Unplug()
    {
        _isUnplugging |= !_isUnplugged;
        TryUnplug();
        return _isUnplugged;
    }

    /// <summary>Unplugs the disk if that was asked for, and no command is left.</summary>
    internal bool TryUnplug()
    {
        if (!_isUnplugging || (IsRunning && !gate.Aborted.IsRaised) || ReadyCount > 0) return false;
        (_isUnplugging, _isUnplugged) = (false, true);
        if (_done != 0) Report();
        TakeLinkDown();
        _sataError |= SataLink.DIAG_N;
        return true;
    }

    /// <summary>Plugs the disk in.</summary>
    internal void Plug()
    {
        _isUnplugging = false;
        if (!_isUnplugged) return;
        _isUnplugged = false;
        BringLinkUp();
    }

    /// <summary>Clears the base addresses: with <see cref="Reset"/>, the power-on state.</summary>
    internal void ClearAddresses() => _commandList = _fisBase = 0;

    /// <summary>Aborts all issued commands: none has a visible outcome, and nothing overtakes the one in flight.</summary>
    internal void Abort()
    {
        _queue.Clear();
        if (!IsRunning || gate.Aborted.IsRaised) return;
        gate.Abort();
        disk.BeginLateCommand();
    }

    private void Issue(uint slots)
    {
        if (!IsStarted) return;
        var added = slots & ~_issued;
        _overlaps |= _isUnread || (_active & ~added) != 0;
        _issued |= added;
        if (_isUnplugged) AnswerPollingUser();
        else if (!_halted && !_isUnplugging) _queue.Add(added);
    }

    // Firmware that knew the disk polls for a FIS, and not for the link: without one it waits half a minute for each command. Linux's
    // EDD probe makes SeaBIOS read every disk.
    private void AnswerPollingUser()
    {
        if (EnablesInterrupts || !TryPost(AtaResult.Bad(AtaError.ABRT, default))) return;
        _status |= PortInterrupt.DHRS;
    }

    private void WriteCommand(PortCommand value)
    {
        const PortCommand stored = PortCommand.ST | PortCommand.FRE | PortCommand.ATAPI | PortCommand.DLAE;
        var was = _command;
        _command = value & stored;
        if ((was & PortCommand.ST) != 0 && !IsStarted) Stop();
        // CLO does nothing: BSY reads as 1 only while a command executes, and clears when it completes.
        if ((_command & ~was & PortCommand.FRE) != 0) SendSignature();
    }

    private uint ReadActive()
    {
        _isUnread = false;
        return _active;
    }

    // Clearing ST clears PxCI, PxSACT and CCS, and leaves the error state (AHCI 1.3.1 §3.3.7, §6.2.2.1).
    private void Stop()
    {
        Abort();
        _issued = _active = _done = 0;
        _slot = 0;
        _halted = false;
    }

    private void WriteSataControl(uint value)
    {
        _sataControl = value;
        if ((value & SataLink.DETMask) is SataLink.DETReset or SataLink.DETDisable) TakeLinkDown();
        else if (!_linkUp) BringLinkUp();
    }

    // The device aborts its commands. Their bits stay in PxCI until ST is cleared: a cleared bit would mean completion.
    private void TakeLinkDown()
    {
        Abort();
        _halted |= (_issued | _active) != 0;
        _done = 0;
        _wasReset = true;
        _linkUp = false;
        _signature = SataLink.SignatureNone;
        _ataStatus = AtaStatus.NoDevice;
        _ataError = AtaError.None;
    }

    private void BringLinkUp()
    {
        if (IsEmpty || (_sataControl & SataLink.DETMask) is SataLink.DETReset or SataLink.DETDisable) return;
        _linkUp = true;
        _sataError |= SataLink.DIAG_X;
        _signature = SataLink.SignatureAta;
        _ataStatus = AtaResult.Signature.Status;
        _ataError = AtaResult.Signature.Error;
        _signatureUnsent = true;
        SendSignature();
    }

    // The registers hold the signature at once; its FIS is posted when FRE is set.
    private void SendSignature()
    {
        if (!_signatureUnsent || (_command & PortCommand.FRE) == 0) return;
        _signatureUnsent = false;
        if (!TryPost(AtaResult.Signature)) _status |= PortInterrupt.HBFS;
    }

    private void Conclude(AhciCommand command, in AhciOutcome outcome)
    {
        if (outcome.Fault == PortInterrupt.None && outcome.Result.Report == AtaReport.SetDeviceBits)
        {
            ConcludeQueued(command, outcome);
            return;
        }
        if (outcome.Fault != PortInterrupt.None)
        {
            if (_done != 0) Report();
            Halt(outcome.Fault);
            return;
        }
        if (Memory is null || (outcome.Transferred > 0 && !Memory.TryWrite(command.HeaderAddress + CommandHeader.PrdbcOffset, outcome.Transferred)) || !TryPost(outcome.Result))
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

    // The device holds the completion back until it reports it. A failed command is reported at once, after those before it, with
    // no tag: its bit in PxSACT, and those of the commands that the device has aborted, stay set (§6.2.2.2).
    private void ConcludeQueued(AhciCommand command, in AhciOutcome outcome)
    {
        _issued &= ~(1u << command.Slot);
        if (outcome.DescriptorProcessed) _status |= PortInterrupt.DPS;
        var result = outcome.Result;
        if (!result.Failed)
        {
            _done |= 1u << result.Address.Tag;
            return;
        }
        if (_done != 0) Report();
        if (Memory is null || !TryPost(result.Status, result.Error, tags: 0))
        {
            Halt(PortInterrupt.HBFS);
            return;
        }
        _ataStatus = result.Status;
        _ataError = result.Error;
        Halt(PortInterrupt.SDBS | PortInterrupt.TFES);
    }

    // After an error no command is executed, and the failed command's bit stays set, until the driver clears ST (§6.2.2).
    private void Halt(PortInterrupt cause)
    {
        _status |= cause;
        _halted = true;
        _done = 0;
        _queue.Clear();
    }

    private bool TryPost(AtaStatus status, AtaError error, uint tags) =>
        (_command & PortCommand.FRE) == 0 || FisReceiver.TryPost(Memory!, _fisBase, status, error, tags);

    private bool TryPost(in AtaResult result)
    {
        if ((_command & PortCommand.FRE) == 0 || result.Report == AtaReport.None) return true;
        return Memory is { } memory && FisReceiver.TryPost(memory, _fisBase, result);
    }
}
