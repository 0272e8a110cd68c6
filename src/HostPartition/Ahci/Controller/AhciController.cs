using System.Buffers.Binary;
using VmShunt.BlockBackend.Disk;
using VmShunt.Ring.Memory;
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
    private const uint Capabilities = (uint)(HbaCapabilities.S64A | HbaCapabilities.SCLO | HbaCapabilities.SAM)
        | 3u << CapFields.ISSShift | (IssueQueue.Slots - 1) << CapFields.NCSShift;

    private readonly object _lock = new();
    private readonly SharedFlag _aborted = new();
    private readonly SharedFlag _stop = new();
    private readonly Action<bool> _setInterruptLevel;
    private readonly AtaDisk _device;
    private readonly CommandReader _commands;
    private readonly AhciPort _port;
    private readonly Thread _worker;
    private GuestMemory? _memoryInUse;
    private uint _interruptStatus;
    private bool _interruptEnabled, _level, _stopping;

    /// <summary>Creates the HBA in its power-on state, without memory, and starts its worker.</summary>
    /// <param name="disk">The disk; not owned, and outlives the HBA.</param>
    /// <param name="setInterruptLevel">Called at each change of the interrupt line; see the remarks.</param>
    internal AhciController(VirtualizationDriver disk, Action<bool> setInterruptLevel)
    {
        _setInterruptLevel = setInterruptLevel;
        _device = new AtaDisk(disk, _stop);
        _commands = new CommandReader(_device, _aborted);
        _port = new AhciPort(_aborted, _stop);
        _port.Reset();
        _worker = new Thread(Work) { IsBackground = true, Name = "AHCI worker" };
        _worker.Start();
    }

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
            UpdateInterrupt();
            if (_port.HasWork) Monitor.PulseAll(_lock);
        }
    }

    /// <summary>
    /// Sets the memory for the HBA's DMA; without memory (null) commands fail. Blocks until the command in flight no longer
    /// uses the old memory, which the caller may then dispose.
    /// </summary>
    internal void SetMemory(GuestMemory? memory)
    {
        lock (_lock)
        {
            _port.Memory = memory;
            // A write that waits for free space could wait forever: it is cancelled and executed again with the new memory.
            if (_memoryInUse is not null && _memoryInUse != memory) _stop.Raise();
            while (_memoryInUse is not null && _memoryInUse != memory) Monitor.Wait(_lock);
        }
    }

    /// <summary>
    /// Power-on reset. Blocks until the command in flight has released guest memory; no command issued before the reset
    /// writes to memory, completes or interrupts afterwards.
    /// </summary>
    internal void Reset()
    {
        lock (_lock)
        {
            ResetHba();
            _port.ClearAddresses();
            UpdateInterrupt();
            while (_port.IsRunning) Monitor.Wait(_lock);
            _device.PowerOn();
        }
    }

    /// <summary>Stops the worker; blocks until the command in flight has released guest memory.</summary>
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
        or HbaRegister.Ports + PortRegister.PxIS or HbaRegister.Ports + PortRegister.PxSERR or HbaRegister.Ports + PortRegister.PxCI;

    private uint ReadRegister(int register) => register switch
    {
        HbaRegister.CAP => Capabilities,
        HbaRegister.GHC => (uint)(GlobalHostControl.AE
            | (_interruptEnabled ? GlobalHostControl.IE : 0)
            | (_port.IsResetting ? GlobalHostControl.HR : 0)),
        HbaRegister.IS => _interruptStatus,
        HbaRegister.PI => 1,
        HbaRegister.VS => HbaRegister.Version131,
        >= HbaRegister.Ports and < HbaRegister.Ports + HbaRegister.PortStride => _port.Read(register - HbaRegister.Ports),
        _ => 0,
    };

    private void WriteRegister(int register, uint value)
    {
        // While HR reads as 1 writes are ignored: the reset waits for a DMA to complete.
        if (_port.IsResetting) return;
        switch (register)
        {
            case HbaRegister.GHC when ((GlobalHostControl)value & GlobalHostControl.HR) != 0:
                ResetHba();
                break;
            case HbaRegister.GHC:
                _interruptEnabled = ((GlobalHostControl)value & GlobalHostControl.IE) != 0;
                break;
            case HbaRegister.IS:
                _interruptStatus &= ~value;
                SetLevel();
                break;
            case >= HbaRegister.Ports and < HbaRegister.Ports + HbaRegister.PortStride:
                _port.Write(register - HbaRegister.Ports, value);
                break;
        }
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
        while (TryPop(out var command, out var memory))
        {
            var outcome = _commands.Run(command, memory);
            lock (_lock)
            {
                _memoryInUse = null;
                _port.Complete(command, outcome, memory);
                UpdateInterrupt();
                Monitor.PulseAll(_lock);
            }
        }
    }

    private bool TryPop(out AhciCommand command, out GuestMemory? memory)
    {
        lock (_lock)
        {
            command = default;
            while (!_stopping && !_port.TryStartNext(out command)) Monitor.Wait(_lock);
            memory = _memoryInUse = _stopping ? null : _port.Memory;
            return !_stopping;
        }
    }
}
