using System.Numerics;
using VmShunt.BlockDriver.Requests;
using VmShunt.Guest.Emulating;
using VmShunt.Guest.Firmware.Machine;
using VmShunt.Ring.Memory;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Trap.Ahci;

namespace VmShunt.Guest.Shunt.AtRegisters;

/// <summary>
/// The shunt below the port driver: a layer between any AHCI driver and the registers of port 0. In emulating mode every
/// access traps. In enlightened mode a write to PxCI that issues a whole command which the ring path supports becomes
/// requests on that path, and the registers read as if the controller had completed it; all other commands trap. Reads
/// merge the state of both. Any thread.
/// </summary>
/// <remarks>
/// A command that the ring path refuses or fails is issued to the controller, so an error is always the controller's own,
/// with its task file, its CCS and its recovery. A mode change is one store; commands in flight stay on their path.
/// </remarks>
internal sealed class RegisterShunt : IRegisterLayer, IDisposable
{
    private const int PxCI = HbaRegister.Ports + PortRegister.PxCI, PxIS = HbaRegister.Ports + PortRegister.PxIS;

    private sealed record Diversion(IBlockDriver Target, RequestTypes Primary);

    // Above 0 while this thread submits requests: it may hold the driver's locks when one completes inline.
    [ThreadStatic]
    private static int t_submitting;

    private readonly IMmio _below;
    private readonly ulong _abar;
    private readonly GuestMemory _memory;
    private readonly Lock _lock = new();
    private readonly RegisterShuntPort _port;
    private readonly RegisterShuntSlots _slots;
    private readonly RegisterShuntInterrupt _interrupt;
    private Diversion? _diversion;
    // A set of slots: the last command of each was on the ring path. Written under the lock, read without.
    private int _onRing;
    private bool _level;
    private long _diverted, _passed;

    // Whether the controller may have status of its own. If not, its status registers are not read.
    private bool _belowReports = true;

    // A reset of the HBA (GHC.HR) or of the link (PxSSTS.DET) that waits for requests on the ring path.
    private bool _resetting, _linkResetting;

    /// <param name="below">The registers: each access traps.</param>
    /// <param name="abar">Guest-physical address of the controller's registers.</param>
    /// <param name="memory">The guest's memory.</param>
    /// <param name="interrupt">The driver's interrupt handler.</param>
    /// <param name="crash">Stops the shunt's thread when the machine crashes.</param>
    /// <param name="machineCheck">Called when the machine fails under that thread.</param>
    internal RegisterShunt(IMmio below, ulong abar, GuestMemory memory, Action interrupt, CrashGate crash, Action<Exception> machineCheck)
    {
        _below = below;
        _abar = abar;
        _memory = memory;
        _port = new RegisterShuntPort(memory);
        _slots = new RegisterShuntSlots(OnCompleted);
        _interrupt = new RegisterShuntInterrupt(interrupt, crash, machineCheck);
    }

    public bool HasShunt => Ordered.Load(ref _diversion) is not null;

    public RequestPath PathOf(int slot) => (Ordered.Load(ref _onRing) >> slot & 1) != 0 ? RequestPath.Ring : RequestPath.Trap;

    /// <summary>Commands completed on the ring path.</summary>
    internal long Diverted => Interlocked.Read(ref _diverted);

    /// <summary>Commands issued to the controller.</summary>
    internal long Passed => Interlocked.Read(ref _passed);

    /// <summary>Completions of requests that were complete already. Not 0: the ring path's driver is wrong.</summary>
    internal int Repeated => _slots.Repeated;

    /// <summary>Enlightened mode: whole commands of these request types become requests to <paramref name="target"/>.</summary>
    internal void Divert(IBlockDriver target, RequestTypes primary) => Ordered.Store(ref _diversion, new Diversion(target, primary));

    /// <summary>Emulating mode: every access traps.</summary>
    internal void PassDown() => Ordered.Store(ref _diversion, null);

    public void Adopt()
    {
        lock (_lock)
        {
            foreach (var register in RegisterShuntPort.Shadowed) _port.Note(register, ReadBelow(register));
            _slots.Adopt(ReadBelow(PxCI));
        }
    }

    public void Retire() => _interrupt.Retire();

    public void HandleInterrupt()
    {
        lock (_lock) _belowReports = true;
        _interrupt.ServeMachine();
    }

    public ulong Read(ulong address, int size)
    {
        var offset = address - _abar;
        if (offset >= HbaRegister.AbarBytes) return _below.Read(address, size);
        ulong value = 0;
        uint start;
        lock (_lock)
        {
            for (var done = 0; done < size;)
            {
                var (register, first, count) = Slice(offset, done, size);
                value |= (ulong)(ReadRegister(register) >> first * 8 & Mask(count)) << done * 8;
                done += count;
            }
            // Commands may have waited for one that the controller has completed since.
            start = StartReady();
        }
        Submit(start);
        return value;
    }

    public void Write(ulong address, int size, ulong value)
    {
        var offset = address - _abar;
        if (offset >= HbaRegister.AbarBytes)
        {
            _below.Write(address, size, value);
            return;
        }
        uint start;
        bool raise;
        lock (_lock)
        {
            for (var done = 0; done < size;)
            {
                var (register, first, count) = Slice(offset, done, size);
                var part = ((uint)(value >> done * 8) & Mask(count)) << first * 8;
                if (count < sizeof(uint) && !IsWriteOne(register)) part |= ReadRegister(register) & ~(Mask(count) << first * 8);
                WriteRegister(register, part);
                done += count;
            }
            start = StartReady();
            raise = UpdateInterrupt();
        }
        Submit(start);
        if (raise) _interrupt.Raise(here: false);
    }

    public void Dispose() => _interrupt.Dispose();

    private static (int Register, int First, int Count) Slice(ulong offset, int done, int size)
    {
        var at = (int)offset + done;
        return (at & ~3, at & 3, Math.Min(sizeof(uint) - (at & 3), size - done));
    }

    private static uint Mask(int bytes) => bytes == sizeof(uint) ? uint.MaxValue : (1u << bytes * 8) - 1;

    private static bool IsWriteOne(int register) => register is HbaRegister.IS or PxIS or PxCI or HbaRegister.Ports + PortRegister.PxSERR;

    private uint ReadBelow(int register) => (uint)_below.Read(_abar + (ulong)register, sizeof(uint));

    private void WriteBelow(int register, uint value) => _below.Write(_abar + (ulong)register, sizeof(uint), value);

    /// <summary>Whether this thread reads the controller's part of the interrupt status.</summary>
    private bool AsksBelow => !_interrupt.ServesShuntOnly && (!HasShunt || _belowReports);

    private uint ReadRegister(int register)
    {
        switch (register)
        {
            case HbaRegister.IS:
                return _port.Summary | (AsksBelow ? ReadSummaryBelow() : 0);
            case PxIS:
                return (uint)_port.Status | (AsksBelow ? ReadBelow(PxIS) : 0);
            case PxCI:
                if (!_interrupt.ServesShuntOnly && (!HasShunt || _slots.Below != 0)) RefreshBelow();
                return _slots.Issued;
            case HbaRegister.Ports + PortRegister.PxTFD when HasShunt && _port.HasTaskFile && _slots.Below == 0:
                return (uint)(_slots.Issued != 0 && !_slots.IsHalted ? AtaStatus.Ready | AtaStatus.BSY : AtaStatus.Ready);
            case HbaRegister.Ports + PortRegister.PxTFD:
                return ReadBelow(register) | (_slots.IsBusy ? (uint)AtaStatus.BSY : 0);
            case HbaRegister.Ports + PortRegister.PxCMD:
                return ReadBelow(register) | (_slots.Abandoned > 0 ? (uint)PortCommand.CR : 0);
            case HbaRegister.Ports + PortRegister.PxSSTS:
                var link = ReadBelow(register);
                return _linkResetting && (link & SataLink.DETMask) == SataLink.DETEstablished ? SataLink.DETPresent : link;
            case HbaRegister.GHC:
                return ReadBelow(register) | (_resetting ? (uint)GlobalHostControl.HR : 0);
            default:
                return ReadBelow(register);
        }
    }

    private uint ReadSummaryBelow()
    {
        var summary = ReadBelow(HbaRegister.IS);
        // Without commands and without status the controller is not read again, until that changes.
        if (HasShunt && summary == 0 && _slots.Below == 0) _belowReports = ReadBelow(PxIS) != 0;
        return summary;
    }

    private void WriteRegister(int register, uint value)
    {
        // While HR reads as 1 the HBA ignores writes: the reset waits for requests on the ring path.
        if (_resetting) return;
        switch (register)
        {
            case PxCI:
                Issue(value);
                return;
            case HbaRegister.IS or PxIS:
                _port.Note(register, value);
                if (AsksBelow) WriteBelow(register, value);
                return;
            case HbaRegister.GHC when ((GlobalHostControl)value & GlobalHostControl.HR) != 0:
                _slots.Stop();
                _port.Reset();
                _resetting = _slots.Abandoned > 0;
                break;
            case HbaRegister.Ports + PortRegister.PxCMD:
                var wasStarted = _port.IsStarted;
                _port.Note(register, value);
                // Clearing ST clears PxCI and ends an error stop (AHCI 1.3.1 §3.3.7, §6.2.2.1).
                if (wasStarted && !_port.IsStarted) _slots.Stop();
                break;
            case HbaRegister.Ports + PortRegister.PxSCTL when (value & SataLink.DETMask) is SataLink.DETReset or SataLink.DETDisable:
                // The device drops its commands; their bits stay in PxCI until ST is cleared.
                _slots.Halt();
                _linkResetting = _slots.Abandoned > 0;
                _port.HasTaskFile = false;
                break;
            default:
                _port.Note(register, value);
                break;
        }
        _belowReports = true;
        WriteBelow(register, value);
    }

    private void Issue(uint slots)
    {
        // A driver may learn from PxIS or a FIS that a command completed, and reuse its slot.
        if ((slots & _slots.Below) != 0) RefreshBelow();
        if (!_port.IsStarted)
        {
            WriteBelow(PxCI, slots);
            return;
        }
        var diversion = Ordered.Load(ref _diversion);
        for (var added = slots & ~_slots.Issued; added != 0; added &= added - 1)
        {
            var slot = BitOperations.TrailingZeroCount(added);
            var isKnown = diversion is not null && _slots.CanFill && _port.ReceivesFis && _port.CanReport(slot)
                && RegisterShuntReader.TryRead(_memory, _port.HeaderAddress(slot), diversion.Target, diversion.Primary, _slots[slot]);
            _slots.Add(slot, isKnown);
        }
        // A driver that learned from a FIS that a command completed does not read PxCI again.
        if (_slots.WaitsForBelow) RefreshBelow();
    }

    /// <summary>Starts the commands that need not wait: issues the controller's.</summary>
    /// <returns>The slots to submit on the ring path once the lock is released.</returns>
    private uint StartReady()
    {
        var (down, ring) = _slots.TakeReady(Ordered.Load(ref _diversion)?.Target);
        if (down != 0) IssueBelow(down);
        if (ring != 0) Ordered.Store(ref _onRing, _onRing | (int)ring);
        return ring;
    }

    private void IssueBelow(uint slots)
    {
        Interlocked.Add(ref _passed, BitOperations.PopCount(slots));
        _slots.MarkBelow(slots);
        Ordered.Store(ref _onRing, _onRing & (int)~slots);
        _belowReports = true;
        _port.HasTaskFile = false;
        WriteBelow(PxCI, slots);
    }

    /// <summary>Reads which of the controller's commands have completed.</summary>
    private void RefreshBelow()
    {
        var running = ReadBelow(PxCI);
        _slots.Complete(_slots.Below & ~running);
    }

    private void Submit(uint slots)
    {
        if (slots == 0) return;
        t_submitting++;
        for (; slots != 0; slots &= slots - 1) _slots[BitOperations.TrailingZeroCount(slots)].Submit();
        t_submitting--;
    }

    // All requests of a command have completed. On the thread of the last completion.
    private void OnCompleted(RegisterShuntCommand command)
    {
        uint start;
        bool raise;
        lock (_lock)
        {
            if (command.IsAbandoned)
            {
                _slots.ForgetAbandoned(command);
                if (_slots.Abandoned == 0) _resetting = _linkResetting = false;
            }
            else if (command.HasFailed)
            {
                IssueBelow(1u << command.Slot);
            }
            else
            {
                Interlocked.Increment(ref _diverted);
                _port.Report(command);
                _slots.Complete(1u << command.Slot);
            }
            start = StartReady();
            raise = UpdateInterrupt();
        }
        Submit(start);
        if (raise) _interrupt.Raise(here: t_submitting == 0);
    }

    /// <returns>Whether the shunt's part of the interrupt line has just risen.</returns>
    private bool UpdateInterrupt()
    {
        var was = _level && _port.InterruptLevel;
        _port.UpdateSummary();
        _level = _port.InterruptLevel;
        return _level && !was;
    }
}
