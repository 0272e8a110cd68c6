using VmShunt.BlockDriver.Requests;
using VmShunt.Guest.Emulating;
using VmShunt.Guest.Firmware.Machine;
using VmShunt.Ring.Memory;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Trap.Ahci;

namespace VmShunt.Guest.Shunt.AtRegisters;

/// <summary>
/// The shunt below the port driver: a layer between an AHCI driver, any AHCI driver, and the registers of port 0. In
/// emulating mode every access passes on to the trap. In enlightened mode a write to PxCI that issues a whole command which
/// the enlightened road can do becomes requests there, and the registers read as if the controller had done it; what is
/// left passes on. Reads merge the two. Any thread.
/// </summary>
/// <remarks>
/// A command that the road refuses or fails is given to the controller after all: an error is always the controller's own,
/// with its task file, its CCS and its recovery. A change of mode is one store; commands stay where they are.
/// </remarks>
internal sealed class RegisterShunt : IMmio, ICommandPaths, IDisposable
{
    private const int PxCI = HbaRegister.Ports + PortRegister.PxCI, PxIS = HbaRegister.Ports + PortRegister.PxIS;

    private sealed record Diversion(IBlockDriver Target, RequestTypes Primary);

    // Set while this thread hands requests on: a completion that comes at once finds the driver's locks held.
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
    private uint _ringed;
    private bool _level;
    private long _diverted, _passed;

    // The controller may have status of its own to show; only then is it asked.
    private bool _belowReports = true;

    // A reset that waits for requests on the road: of the HBA (GHC.HR), or of the link (PxSSTS.DET).
    private bool _resetting, _linkResetting;

    /// <param name="below">The way to the registers: the trap.</param>
    /// <param name="abar">Where the controller's registers are.</param>
    /// <param name="memory">The guest's memory.</param>
    /// <param name="crash">Stops the shunt's thread when the machine crashes.</param>
    /// <param name="machineCheck">Told when the machine fails under that thread.</param>
    internal RegisterShunt(IMmio below, ulong abar, GuestMemory memory, CrashGate crash, Action<Exception> machineCheck)
    {
        _below = below;
        _abar = abar;
        _memory = memory;
        _port = new RegisterShuntPort(memory);
        _slots = new RegisterShuntSlots(OnEnded);
        _interrupt = new RegisterShuntInterrupt(crash, machineCheck);
    }

    /// <summary>Whether commands are diverted now.</summary>
    internal bool IsDiverting => _diversion is not null;

    public bool HasShunt => IsDiverting;

    public RequestPath RoadOf(int slot) => (_ringed >> slot & 1) != 0 ? RequestPath.Ring : RequestPath.Trap;

    /// <summary>Commands that ended on the enlightened road.</summary>
    internal long Diverted => Interlocked.Read(ref _diverted);

    /// <summary>Commands given to the controller.</summary>
    internal long Passed => Interlocked.Read(ref _passed);

    /// <summary>Completions of requests that were complete already: always 0, or the driver of the road is wrong.</summary>
    internal int Repeated => _slots.Repeated;

    /// <summary>Sets the driver's interrupt handler.</summary>
    internal void Connect(Action handler) => _interrupt.Connect(handler);

    /// <summary>Enlightened mode: whole commands of the named kinds go to a port driver-en.</summary>
    internal void Divert(IBlockDriver target, RequestTypes primary) => _diversion = new Diversion(target, primary);

    /// <summary>Emulating mode: everything passes on.</summary>
    internal void PassDown() => _diversion = null;

    /// <summary>The machine injected the controller's interrupt. Calls the driver's handler.</summary>
    internal void HandleInterrupt()
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
            // What the controller has done since may be what others wait for.
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

    /// <summary>Whether the controller's part of the interrupt status is of interest to this thread now.</summary>
    private bool AsksBelow => !_interrupt.ServesShuntOnly && (_diversion is null || _belowReports);

    private uint ReadRegister(int register)
    {
        switch (register)
        {
            case HbaRegister.IS:
                return _port.Summary | (AsksBelow ? ReadSummaryBelow() : 0);
            case PxIS:
                return (uint)_port.Status | (AsksBelow ? ReadBelow(PxIS) : 0);
            case PxCI:
                if (!_interrupt.ServesShuntOnly && (_diversion is null || _slots.Below != 0)) RefreshBelow();
                return _slots.Issued;
            case HbaRegister.Ports + PortRegister.PxTFD when _diversion is not null && _port.HasTaskFile && _slots.Below == 0:
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
        // Once it has nothing to do and nothing to say it is not asked again, until that changes.
        if (_diversion is not null && summary == 0 && _slots.Below == 0) _belowReports = ReadBelow(PxIS) != 0;
        return summary;
    }

    private void WriteRegister(int register, uint value)
    {
        // While HR reads as 1 the HBA takes nothing: the reset waits for requests on the road to end.
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
                // The device forgets its commands; their bits stay in PxCI until ST is cleared.
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
        // A driver may know from PxIS alone that a command is over, and use its slot again.
        if ((slots & _slots.Below) != 0) RefreshBelow();
        if (!_port.IsStarted)
        {
            WriteBelow(PxCI, slots);
            return;
        }
        var diversion = _diversion;
        for (var added = slots & ~_slots.Issued; added != 0; added &= added - 1)
        {
            var slot = System.Numerics.BitOperations.TrailingZeroCount(added);
            var isKnown = diversion is not null && _slots.CanFill && _port.ReceivesFis && _port.CanReport(slot)
                && RegisterShuntReader.TryRead(_memory, _port.HeaderAddress(slot), diversion.Target, diversion.Primary, _slots[slot]);
            _slots.Add(slot, isKnown);
        }
    }

    /// <summary>Starts what may start now: gives the controller its part.</summary>
    /// <returns>The slots to submit once the lock is released.</returns>
    private uint StartReady()
    {
        var (down, road) = _slots.TakeReady(_diversion?.Target);
        if (down != 0) GiveBelow(down);
        _ringed |= road;
        return road;
    }

    private void GiveBelow(uint slots)
    {
        Interlocked.Add(ref _passed, System.Numerics.BitOperations.PopCount(slots));
        _slots.MarkBelow(slots);
        _ringed &= ~slots;
        _belowReports = true;
        _port.HasTaskFile = false;
        WriteBelow(PxCI, slots);
    }

    /// <summary>Learns which of the controller's commands are over.</summary>
    private void RefreshBelow()
    {
        var running = ReadBelow(PxCI);
        _slots.End(_slots.Below & ~running);
    }

    private void Submit(uint slots)
    {
        if (slots == 0) return;
        t_submitting++;
        for (; slots != 0; slots &= slots - 1) _slots[System.Numerics.BitOperations.TrailingZeroCount(slots)].Submit();
        t_submitting--;
    }

    /// <summary>All requests of a command have ended. On the thread of the last completion.</summary>
    private void OnEnded(RegisterShuntCommand command)
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
                GiveBelow(1u << command.Slot);
            }
            else
            {
                Interlocked.Increment(ref _diverted);
                _port.Report(command);
                _slots.End(1u << command.Slot);
            }
            start = StartReady();
            raise = UpdateInterrupt();
        }
        Submit(start);
        if (raise) _interrupt.Raise(here: t_submitting == 0);
    }

    /// <returns>Whether the shunt's part of the line has just risen.</returns>
    private bool UpdateInterrupt()
    {
        var was = _level && _port.InterruptLevel;
        _port.UpdateSummary();
        _level = _port.InterruptLevel;
        return _level && !was;
    }
}
