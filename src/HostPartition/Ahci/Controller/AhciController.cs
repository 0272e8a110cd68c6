using System.Buffers.Binary;
using System.Diagnostics;
using VmShunt.BlockBackend.Disk;
using VmShunt.BlockBackend.Transition;
using VmShunt.Ring.Memory;
using VmShunt.Ring.Serving;
using VmShunt.Trap.Ahci;

namespace VmShunt.AhciBackend.Controller;

/// <summary>
/// An AHCI 1.3.1 HBA with one port and one disk: the register file, and a worker thread that executes issued commands.
/// A register access never blocks on the disk. Any thread.
/// </summary>
/// <remarks>
/// One lock guards all registers; the worker does disk I/O outside it. The interrupt callback runs under the lock, so
/// that levels arrive in order: it must not block, access the HBA, or throw. Each call is a change of the level. Clearing IS
/// while the port still requests an interrupt lowers the level and raises it again, so that an MSI can be sent at each rise
/// (§10.6.2).
/// </remarks>
internal sealed class AhciController : IDisposable
{
    private const uint Capabilities = (uint)(HbaCapabilities.S64A | HbaCapabilities.SNCQ | HbaCapabilities.SCLO | HbaCapabilities.SAM)
        | 3u << CapFields.ISSShift | (IssueQueue.Slots - 1) << CapFields.NCSShift;

    private readonly object _lock = new();
    private readonly DmaGate _gate = new();
    private readonly Action<bool> _setInterruptLevel;
    private readonly AtaDisk _device;
    private readonly CommandReader _commands;
    private readonly AhciPort _port;
    private readonly CompletionGathering _gathering = new();
    private readonly Thread _worker;
    private readonly TrapGate? _transition;
    private uint _interruptStatus;

    // So many ready commands wake the worker.
    private int _wakeAt = 1;
    private bool _interruptEnabled, _level, _stopping, _powersOn;

    /// <summary>Creates the HBA in its power-on state, without memory, and starts its worker.</summary>
    /// <param name="disk">The disk; not owned, and outlives the HBA.</param>
    /// <param name="setInterruptLevel">Called at each change of the interrupt line; see the remarks.</param>
    /// <param name="transition">What the guest's transition allows; null without one.</param>
    internal AhciController(VirtualizationDriver disk, Action<bool> setInterruptLevel, TrapGate? transition = null)
    {
        _setInterruptLevel = setInterruptLevel;
        _transition = transition;
        _device = new AtaDisk(disk, _gate.Aborted, transition);
        _commands = new CommandReader(_device, _gate);
        _port = new AhciPort(_gate, disk);
        _port.Reset();
        _worker = ServingThread.Start(Work, "AHCI worker");
    }

    /// <summary>Called without a lock when the disk is unplugged after <see cref="Unplug"/> returned false.</summary>
    internal Action Unplugged { get; set; } = static () => { };

    /// <summary>The level of the interrupt line: high while IS is not 0 and GHC.IE is set.</summary>
    internal bool InterruptLevel
    {
        get
        {
            lock (_lock) return _level;
        }
    }

    /// <summary>Reads registers at any offset and of any length. Offsets without a register read as 0.</summary>
    internal void Read(ulong offset, Span<byte> data)
    {
        lock (_lock)
        {
            for (var i = 0; i < data.Length;)
            {
                var (register, first, count) = Slice(offset, i, data.Length);
                var value = ReadRegister(register) >> first * 8;
                for (var j = 0; j < count; j++) data[i + j] = (byte)(value >> j * 8);
                i += count;
            }
        }
    }

    /// <summary>
    /// Writes registers at any offset and of any length. A write of part of a register keeps its other bytes, and acts as 0 on
    /// write-1 bits in them.
    /// </summary>
    internal void Write(ulong offset, ReadOnlySpan<byte> data)
    {
        Span<byte> bytes = stackalloc byte[sizeof(uint)];
        bool isUnplugged;
        lock (_lock)
        {
            for (var i = 0; i < data.Length;)
            {
                var (register, first, count) = Slice(offset, i, data.Length);
                BinaryPrimitives.WriteUInt32LittleEndian(bytes, IsWriteOne(register) ? 0 : ReadRegister(register));
                data.Slice(i, count).CopyTo(bytes[first..]);
                WriteRegister(register, BinaryPrimitives.ReadUInt32LittleEndian(bytes));
                i += count;
            }
            isUnplugged = _port.TryUnplug();
            UpdateInterrupt();
            if (_port.ReadyCount >= _wakeAt) Monitor.PulseAll(_lock);
        }
        if (isUnplugged) Unplugged();
    }

    /// <summary>
    /// Sets the memory for the HBA's DMA; without memory (null) commands fail. When it returns, the old memory is not used any
    /// more, and the caller may dispose it. Does not wait for the disk: a command in flight continues with the new memory.
    /// </summary>
    internal void SetMemory(GuestMemory? memory)
    {
        lock (_lock)
        {
            _port.Memory = memory;
            _gate.Replace(memory);
        }
    }

    /// <summary>Whether a disk is at the port, as after power-on.</summary>
    internal void SetDisk(bool isPresent)
    {
        lock (_lock)
        {
            _port.SetDisk(isPresent);
            UpdateInterrupt();
        }
    }

    /// <inheritdoc cref="AhciPort.Unplug"/>
    internal bool Unplug()
    {
        lock (_lock)
        {
            var isUnplugged = _port.Unplug();
            UpdateInterrupt();
            return isUnplugged;
        }
    }

    /// <inheritdoc cref="AhciPort.Plug"/>
    internal void Plug()
    {
        lock (_lock)
        {
            _port.Plug();
            UpdateInterrupt();
        }
    }

    /// <summary>
    /// Power-on reset: no command issued before it writes to memory, completes or interrupts afterwards. Does not wait for the
    /// disk, which executes the next command when it has finished the one in flight.
    /// </summary>
    internal void Reset()
    {
        bool isUnplugged;
        lock (_lock)
        {
            ResetHba();
            _port.ClearAddresses();
            isUnplugged = _port.TryUnplug();
            UpdateInterrupt();
            _powersOn = _port.IsRunning;
            if (!_powersOn) _device.PowerOn();
        }
        if (isUnplugged) Unplugged();
    }

    /// <summary>Stops the worker; blocks until the disk has finished the command in flight.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            _stopping = true;
            _port.Abort();
            Monitor.PulseAll(_lock);
        }
        _worker.Join();
        _device.Dispose();
    }

    private static (int Register, int First, int Count) Slice(ulong offset, int done, int length)
    {
        var at = unchecked(offset + (ulong)done);
        var first = (int)(at & 3);
        var register = at < HbaRegister.AbarBytes && at >= offset ? (int)at & ~3 : HbaRegister.AbarBytes;
        return (register, first, Math.Min(sizeof(uint) - first, length - done));
    }

    private static bool IsWriteOne(int register) => register is HbaRegister.IS
        or HbaRegister.Ports + PortRegister.PxIS or HbaRegister.Ports + PortRegister.PxSERR or HbaRegister.Ports + PortRegister.PxSACT
        or HbaRegister.Ports + PortRegister.PxCI;

    private uint ReadRegister(int register) => register switch
    {
        HbaRegister.CAP => Capabilities,
        HbaRegister.GHC => (uint)(GlobalHostControl.AE
            | (_interruptEnabled ? GlobalHostControl.IE : 0)),
        HbaRegister.IS => _interruptStatus,
        HbaRegister.PI => 1,
        HbaRegister.VS => HbaRegister.Version131,
        >= HbaRegister.Ports and < HbaRegister.Ports + HbaRegister.PortStride => _port.Read(register - HbaRegister.Ports),
        _ => 0,
    };

    private void WriteRegister(int register, uint value)
    {
        switch (register)
        {
            case HbaRegister.GHC when ((GlobalHostControl)value & GlobalHostControl.HR) != 0:
                ResetHba();
                break;
            case HbaRegister.GHC:
                _interruptEnabled = ((GlobalHostControl)value & GlobalHostControl.IE) != 0;
                NoteInterruptDriver();
                break;
            case HbaRegister.IS:
                _interruptStatus &= ~value;
                SetLevel();
                break;
            case >= HbaRegister.Ports and < HbaRegister.Ports + HbaRegister.PortStride:
                _port.Write(register - HbaRegister.Ports, value);
                if (register is HbaRegister.Ports + PortRegister.PxIE or HbaRegister.Ports + PortRegister.PxCI) NoteInterruptDriver();
                break;
        }
    }

    private void NoteInterruptDriver()
    {
        if (_transition is { IsInterruptDriven: false } && _interruptEnabled && _port.EnablesInterrupts) _transition.IsInterruptDriven = true;
    }

    private void ResetHba()
    {
        _port.Reset();
        _interruptEnabled = false;
        _interruptStatus = 0;
    }

    private void UpdateInterrupt()
    {
        if (_port.IsInterruptPending) _interruptStatus |= 1;
        SetLevel();
    }

    private void SetLevel()
    {
        var level = _interruptEnabled && _interruptStatus != 0;
        if (level == _level) return;
        _level = level;
        _setInterruptLevel(level);
    }

    private void Work()
    {
        while (TryPop(out var command))
        {
            _device.AwaitLateCommands();
            var outcome = _commands.Run(command);
            bool isUnplugged;
            lock (_lock)
            {
                _port.Complete(command, outcome);
                if (_powersOn) _device.PowerOn();
                _powersOn = false;
                isUnplugged = _port.TryUnplug();
                UpdateInterrupt();
            }
            if (isUnplugged) Unplugged();
        }
    }

    private bool TryPop(out AhciCommand command)
    {
        lock (_lock)
        {
            command = default;
            while (!_stopping)
            {
                switch (_gathering.Next(_port.HeldCount, _port.ReadyCount > 0, Stopwatch.GetTimestamp()))
                {
                    case GatheringStep.Report:
                        Report();
                        break;
                    case GatheringStep.WaitBriefly:
                        _wakeAt = _gathering.WakeAt(_port.HeldCount);
                        var isWoken = Monitor.Wait(_lock, _gathering.Milliseconds);
                        _wakeAt = 1;
                        if (isWoken || _port.HeldCount == 0 || _port.ReadyCount > 0) break;
                        _gathering.TimeOut();
                        Report();
                        break;
                    default:
                        if (_port.TryStartNext(out command)) return true;
                        Monitor.Wait(_lock);
                        break;
                }
            }
            return false;
        }
    }

    private void Report()
    {
        var count = _port.HeldCount;
        _gathering.Reported(count, _port.Report());
        UpdateInterrupt();
    }
}
