using System.Diagnostics;
using System.Numerics;
using VmShunt.BlockDriver.Memory;
using VmShunt.BlockDriver.Requests;
using VmShunt.Guest.Firmware.Ahci;
using VmShunt.Guest.Firmware.Machine;
using VmShunt.Trap.Ahci;

namespace VmShunt.Guest.Emulating;

/// <summary>
/// Port driver-em: drives an AHCI controller by its registers and its interrupt, as on a real machine, and does not know
/// that each register access is a VM exit. Up to 32 commands at a time; further requests wait. Any thread.
/// </summary>
internal sealed class AhciPortDriver : IBlockDriver, IDisposable
{
    private const PortInterrupt Errors = PortInterrupt.TFES | PortInterrupt.HBFS | PortInterrupt.HBDS | PortInterrupt.IFS | PortInterrupt.OFS | PortInterrupt.INFS;
    private const int TrimBytes = 512;
    private const int TrimRangeSectors = 65535;
    private const int ZeroBytes = DiskClassDriver.MaxWriteZeroesBytes / AhciCommandMemory.MaxPrdtEntries;

    private readonly AhciPortRegisters _registers;
    private readonly AhciCommandMemory _commands;
    private readonly GuestPages _pages;
    private readonly TrapCosts _costs;
    private readonly ICommandPaths? _roads;
    private readonly GuestBuffer _commandPages;
    private readonly GuestBuffer _trimPages;
    private readonly GuestBuffer _zeroPages;
    private readonly BlockRequest?[] _slots = new BlockRequest?[AhciCommandMemory.Slots];
    private readonly BlockRequest?[] _ended = new BlockRequest?[AhciCommandMemory.Slots];
    private readonly BlockStatus[] _endedStatus = new BlockStatus[AhciCommandMemory.Slots];
    private readonly long[] _started = new long[AhciCommandMemory.Slots];
    private readonly Lock _lock = new();
    private BlockRequestList _waiting;
    private uint _busy;
    private uint _issued;
    private uint _filled;
    private uint _traced;
    private int _pluggedThread = -1;

    private AhciPortDriver(AhciPortRegisters registers, DiskGeometry geometry, GuestRam ram, GuestPages pages, TrapCosts costs, ICommandPaths? roads)
    {
        _costs = costs;
        _roads = roads;
        _registers = registers;
        _pages = pages;
        _commandPages = pages.Allocate(AhciCommandMemory.RequiredBytes(AhciCommandMemory.Slots));
        _trimPages = pages.Allocate(AhciCommandMemory.Slots * TrimBytes);
        _zeroPages = pages.Allocate(ZeroBytes);
        _commands = new AhciCommandMemory(ram.Memory, _commandPages.Address, AhciCommandMemory.Slots);
        Geometry = geometry;
    }

    public DiskGeometry Geometry { get; }

    /// <summary>Whether no request is with it, and no thread in its interrupt handler.</summary>
    internal bool IsIdle
    {
        get
        {
            lock (_lock) return _busy == 0 && _waiting.IsEmpty && _pluggedThread < 0;
        }
    }

    /// <summary>Resets the controller, identifies the disk, and starts the port with its interrupt on.</summary>
    /// <exception cref="IOException">There is no working disk.</exception>
    internal static AhciPortDriver Start(IMmio mmio, AhciHba hba, GuestRam ram, GuestPages pages, TrapCosts? costs = null)
    {
        var scratch = pages.Allocate(16384);
        var probe = new PolledAhciDisk(mmio, hba, ram.Memory, scratch.Address, scratch.Length);
        probe.Start();
        probe.Stop();
        pages.Free(scratch);

        var registers = new AhciPortRegisters(mmio, hba.Abar);
        var geometry = new DiskGeometry(probe.SectorCount, DiskClassDriver.MaxTransferBytes, probe.Serial, IsReadOnly: false);
        var driver = new AhciPortDriver(registers, geometry, ram, pages, costs ?? new TrapCosts(), mmio as ICommandPaths);
        registers.StartPort(driver._commands.CommandList, driver._commands.ReceivedFis);
        registers.WriteHba(HbaRegister.IS, uint.MaxValue);
        registers.WritePort(PortRegister.PxIE, (uint)(PortInterrupt.DHRS | PortInterrupt.PSS | PortInterrupt.SDBS | Errors));
        registers.WriteHba(HbaRegister.GHC, (uint)(GlobalHostControl.AE | GlobalHostControl.IE));
        return driver;
    }

    public void Submit(BlockRequest request)
    {
        request.RequestPath = RequestPath.Trap;
        request.Trace?.Pass(Hop.PortDriverEm);
        lock (_lock)
        {
            FillOrQueue(request);
            // While this thread handles an interrupt, what goes on after completions submits more: it is issued at once at the end.
            if (_pluggedThread != Environment.CurrentManagedThreadId) Issue();
        }
    }

    /// <summary>Takes requests that are linked from the first to the last, and issues as many as it can with one register write.</summary>
    internal void SubmitAll(BlockRequest? request)
    {
        lock (_lock)
        {
            while (request is not null)
            {
                var next = request.Next;
                request.Next = null;
                request.RequestPath = RequestPath.Trap;
                request.Trace?.Pass(Hop.PortDriverEm);
                FillOrQueue(request);
                request = next;
            }
            if (_pluggedThread != Environment.CurrentManagedThreadId) Issue();
        }
    }

    /// <summary>The interrupt's handler: ends what the controller has done and gives it what waits. One thread at a time.</summary>
    internal void HandleInterrupt()
    {
        int ended;
        lock (_lock)
        {
            if ((_registers.ReadHba(HbaRegister.IS) & 1) == 0) return;
            var causes = (PortInterrupt)_registers.ReadPort(PortRegister.PxIS);
            _registers.WritePort(PortRegister.PxIS, (uint)causes);
            _registers.WriteHba(HbaRegister.IS, 1);
            var running = _registers.ReadPort(PortRegister.PxCI);
            ended = TakeEnded(_issued & ~running);
            if ((causes & Errors) != 0) ended = Recover(running, ended);
            _pluggedThread = Environment.CurrentManagedThreadId;
        }
        for (var i = 0; i < ended; i++)
        {
            var request = _ended[i]!;
            _ended[i] = null;
            request.Complete(_endedStatus[i]);
        }
        lock (_lock)
        {
            _pluggedThread = -1;
            while (!_waiting.IsEmpty && _busy != uint.MaxValue) Fill(_waiting.TakeFirst()!);
            Issue();
        }
    }

    public void Dispose()
    {
        _registers.WritePort(PortRegister.PxIE, 0);
        _registers.StopPort();
        _pages.Free(_commandPages);
        _pages.Free(_trimPages);
        _pages.Free(_zeroPages);
    }

    private void FillOrQueue(BlockRequest request)
    {
        if (_busy == uint.MaxValue || !_waiting.IsEmpty) _waiting.Add(request);
        else Fill(request);
    }

    private void Fill(BlockRequest request)
    {
        if (!request.TryTake()) return;
        var slot = BitOperations.TrailingZeroCount(~_busy);
        _busy |= 1u << slot;
        _filled |= 1u << slot;
        _slots[slot] = request;
        _started[slot] = Stopwatch.GetTimestamp();
        switch (request.Operation)
        {
            case BlockOperation.Read:
                _commands.Fill(slot, AtaCommand.ReadDmaExt, request.Sector, request.Bytes / 512, request.Address, request.Bytes, deviceReads: false);
                break;
            case BlockOperation.Write:
                _commands.Fill(slot, AtaCommand.WriteDmaExt, request.Sector, request.Bytes / 512, request.Address, request.Bytes, deviceReads: true);
                break;
            case BlockOperation.WriteZeroes:
                // ATA has no command for it that every disk knows: zeros are written.
                _commands.Fill(slot, AtaCommand.WriteDmaExt, request.Sector, request.Bytes / 512, _zeroPages.Address, request.Bytes, deviceReads: true, repeat: ZeroBytes);
                break;
            case BlockOperation.Discard:
                var range = FillTrim(slot, request.Sector, request.Bytes / 512);
                _commands.Fill(slot, AtaCommand.DataSetManagement, 0, 1, range, TrimBytes, deviceReads: true, features: 1);
                break;
            default:
                _commands.Fill(slot, AtaCommand.FlushCacheExt, 0, 0, 0, 0, deviceReads: false);
                break;
        }
        if (request.Trace is not { } trace) return;
        trace.Pass(Hop.Described);
        _traced |= 1u << slot;
    }

    /// <summary>A block of TRIM ranges: 48 bits of sector, 16 of count each (ACS-3 §7.6).</summary>
    private ulong FillTrim(int slot, ulong sector, int sectors)
    {
        var payload = _trimPages.Slice(slot * TrimBytes, TrimBytes);
        payload.Span.Clear();
        for (var at = 0; sectors > 0; at += sizeof(ulong))
        {
            var here = Math.Min(sectors, TrimRangeSectors);
            payload.Window.Write(at, sector | (ulong)here << 48);
            sector += (ulong)here;
            sectors -= here;
        }
        return payload.Address;
    }

    private void Issue()
    {
        if (_filled == 0) return;
        var filled = _filled;
        _filled = 0;
        _registers.WritePort(PortRegister.PxCI, filled);
        // Under the lock, so that no interrupt finds a command issued that PxCI does not show yet.
        _issued |= filled;
        if (_traced != 0) NoteIssued(_traced & filled);
    }

    private void NoteIssued(uint slots)
    {
        _traced &= ~slots;
        for (; slots != 0; slots &= slots - 1)
        {
            var slot = BitOperations.TrailingZeroCount(slots);
            if (_slots[slot]?.Trace is not { } trace) continue;
            if (_roads is { HasShunt: true })
            {
                trace.Pass(Hop.Shunt);
                trace.Decide(_roads.RoadOf(slot) == RequestPath.Ring ? ShuntDecision.Diverted : ShuntDecision.NotAccepted, "below-port");
            }
            trace.Pass(Hop.Issued);
        }
    }

    private int TakeEnded(uint slots)
    {
        var count = 0;
        for (; slots != 0; slots &= slots - 1)
        {
            var slot = BitOperations.TrailingZeroCount(slots);
            var request = _slots[slot]!;
            var moved = request.Operation is BlockOperation.Read or BlockOperation.Write or BlockOperation.WriteZeroes ? request.Bytes : 0;
            End(slot, moved == 0 || _commands.BytesMoved(slot) == moved ? BlockStatus.Ok : BlockStatus.IoError, ref count);
        }
        return count;
    }

    /// <summary>Restarts the port after an error (AHCI 1.3.1 §6.2.2.1): the command it stopped at failed, the others are issued again.</summary>
    private int Recover(uint running, int ended)
    {
        var failed = (int)(_registers.ReadPort(PortRegister.PxCMD) >> PortCommandFields.CCSShift & 0x1F);
        _registers.StopPort();
        _registers.StartPort(_commands.CommandList, _commands.ReceivedFis);
        if ((_issued & running & 1u << failed) != 0) End(failed, BlockStatus.IoError, ref ended);
        _filled |= _issued;
        _issued = 0;
        return ended;
    }

    private void End(int slot, BlockStatus status, ref int count)
    {
        var request = _slots[slot]!;
        request.Trace?.Pass(Hop.Noticed);
        if (_roads?.RoadOf(slot) == RequestPath.Ring) request.RequestPath = RequestPath.Ring;
        if (status == BlockStatus.Ok) _costs.Note(request.Operation, request.Bytes, Stopwatch.GetTimestamp() - _started[slot]);
        _ended[count] = request;
        _endedStatus[count++] = status;
        _slots[slot] = null;
        _busy &= ~(1u << slot);
        _issued &= ~(1u << slot);
    }
}
