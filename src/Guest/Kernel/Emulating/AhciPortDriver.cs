using System.Diagnostics;
using System.Numerics;
using VmShunt.BlockDriver;
using VmShunt.BlockDriver.Memory;
using VmShunt.BlockDriver.Requests;
using VmShunt.Guest.Firmware.Ahci;
using VmShunt.Guest.Firmware.Machine;
using VmShunt.Guest.Requests;

namespace VmShunt.Guest.Emulating;

/// <summary>
/// The port driver (emulating): executes block requests on an AHCI port, interrupt-driven, as on a physical machine. It does
/// not know that each register access is a VM exit. Up to 32 commands are in flight; further requests are queued. Any thread.
/// </summary>
internal sealed class AhciPortDriver : IBlockDriver, IDisposable
{
    private const int Slots = AhciCommandMemory.Slots;
    private const int SectorBytes = DiskClassDriver.SectorBytes;
    private const int ZeroBytes = DiskClassDriver.MaxWriteZeroesBytes / AhciCommandMemory.MaxPrdtEntries;

    private readonly AhciCommandEngine _port;
    private readonly GuestPages _pages;
    private readonly TrapCosts _costs;
    private readonly ICommandPaths? _paths;
    private readonly GuestBuffer _commandPages;
    private readonly GuestBuffer _zeroPages;
    private readonly BlockRequest?[] _slots = new BlockRequest?[Slots];
    private readonly BlockRequest?[] _completed = new BlockRequest?[Slots];
    private readonly BlockStatus[] _completedStatus = new BlockStatus[Slots];
    private readonly long[] _started = new long[Slots];
    private readonly Lock _lock = new();
    private BlockRequestList _waiting;
    private uint _busy;
    private uint _issued;
    private uint _filled;
    private uint _traced;
    private int _pluggedThread = -1;

    // What was issued last, if no other command was in flight then. While it is all that is in flight, its FIS in memory tells
    // of its completion.
    private uint _alone;

    // The slot of a command that completed so. Its bit in PxCI is surely clear when a later command has completed.
    private uint _settling;

    private AhciPortDriver(IMmio mmio, AhciHba hba, GuestRam ram, GuestPages pages, TrapCosts costs)
    {
        _costs = costs;
        _paths = mmio as ICommandPaths;
        _pages = pages;
        _commandPages = pages.Allocate(AhciCommandEngine.RequiredBytes(Slots));
        _zeroPages = pages.Allocate(ZeroBytes);
        _port = new AhciCommandEngine(mmio, hba, ram.Memory, _commandPages.Address, Slots);
        try
        {
            Geometry = Identify(ram);
        }
        catch
        {
            Free();
            throw;
        }
        _port.EnableInterrupt();
    }

    public DiskGeometry Geometry { get; }

    /// <summary>Whether the driver has no request, and no thread is between the two steps of its interrupt handler.</summary>
    internal bool IsIdle
    {
        get
        {
            lock (_lock) return _busy == _settling && _waiting.IsEmpty && _pluggedThread < 0;
        }
    }

    /// <summary>Resets the controller, identifies the disk, and starts the port with its interrupt enabled.</summary>
    /// <exception cref="IOException">There is no working disk.</exception>
    internal static AhciPortDriver Start(IMmio mmio, AhciHba hba, GuestRam ram, GuestPages pages, TrapCosts? costs = null) =>
        new(mmio, hba, ram, pages, costs ?? new TrapCosts());

    public void Submit(BlockRequest request)
    {
        request.RequestPath = RequestPath.Trap;
        request.Trace?.Pass(Hop.PortDriverEm);
        lock (_lock)
        {
            FillOrQueue(request);
            IssueUnlessPlugged();
        }
    }

    /// <summary>Submits requests that are linked from the first to the last, and issues as many as fit with one register write.</summary>
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
            IssueUnlessPlugged();
        }
    }

    /// <summary>Runs an action while no thread of this driver accesses registers.</summary>
    internal void Exclude(Action action)
    {
        lock (_lock) action();
    }

    /// <summary>The interrupt handler: completes requests and issues queued ones. One thread at a time.</summary>
    internal void HandleInterrupt()
    {
        int count;
        lock (_lock)
        {
            _port.Acknowledge();
            count = HasCompletedAlone() ? TakeAlone() : TakeByRegisters();
            _pluggedThread = Environment.CurrentManagedThreadId;
        }
        for (var i = 0; i < count; i++)
        {
            var request = _completed[i]!;
            _completed[i] = null;
            request.Complete(_completedStatus[i]);
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
        _port.DisableInterrupt();
        _port.Stop();
        Free();
    }

    private void Free()
    {
        _pages.Free(_commandPages);
        _pages.Free(_zeroPages);
    }

    private DiskGeometry Identify(GuestRam ram)
    {
        var staging = _pages.Allocate(SectorBytes);
        try
        {
            var disk = new PolledAhciDisk(_port, ram.Memory, staging.Address, staging.Length);
            disk.Start();
            return new DiskGeometry(disk.SectorCount, DiskClassDriver.MaxTransferBytes, disk.Serial, IsReadOnly: false);
        }
        finally
        {
            _pages.Free(staging);
        }
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
                _port.PrepareRead(slot, request.Sector, request.Address, request.Bytes);
                break;
            case BlockOperation.Write:
                _port.PrepareWrite(slot, request.Sector, request.Address, request.Bytes);
                break;
            case BlockOperation.WriteZeroes:
                // ATA has no command for it that every disk supports.
                _port.PrepareWrite(slot, request.Sector, _zeroPages.Address, request.Bytes, repeat: ZeroBytes);
                break;
            case BlockOperation.Discard:
                _port.PrepareTrim(slot, request.Sector, request.Bytes / SectorBytes);
                break;
            default:
                _port.PrepareFlush(slot);
                break;
        }
        if (request.Trace is not { } trace) return;
        trace.Pass(Hop.Described);
        _traced |= 1u << slot;
    }

    // While this thread handles an interrupt, continuations submit more requests: they are issued together at its end.
    private void IssueUnlessPlugged()
    {
        if (_pluggedThread != Environment.CurrentManagedThreadId) Issue();
    }

    private void Issue()
    {
        if (_filled == 0) return;
        var filled = _filled;
        _filled = 0;
        _alone = _issued == 0 && BitOperations.IsPow2(filled) ? filled : 0;
        if (_alone != 0) _port.ExpectReport();
        _port.Issue(filled);
        // Under the lock, so that the interrupt handler finds no command in _issued that PxCI does not show yet.
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
            if (_paths is { HasShunt: true })
            {
                trace.Pass(Hop.Shunt);
                trace.Decide(_paths.PathOf(slot) == RequestPath.Ring ? ShuntDecision.Diverted : ShuntDecision.NotAccepted, "below-port");
            }
            trace.Pass(Hop.Issued);
        }
    }

    // A command that a shunt below put on the ring needs no exit to be found.
    private bool HasCompletedAlone() =>
        _issued != 0 && _issued == _alone && _port.HasReport && _paths?.PathOf(BitOperations.TrailingZeroCount(_alone)) != RequestPath.Ring;

    private int TakeAlone()
    {
        var completed = _alone;
        var count = TakeCompleted(completed);
        // The controller executes one command after another, so it has finished with the one before.
        _busy = _busy & ~_settling | completed;
        _settling = completed;
        return count;
    }

    private int TakeByRegisters()
    {
        var running = _port.Running;
        _busy &= ~(_settling & ~running);
        _settling &= running;
        var count = TakeCompleted(_issued & ~running);
        // An error that came with completions raises the interrupt again.
        if (count == 0 && (_port.Status & AhciCommandEngine.Errors) != 0) count = Recover(running);
        return count;
    }

    private int TakeCompleted(uint slots)
    {
        var count = 0;
        for (; slots != 0; slots &= slots - 1)
        {
            var slot = BitOperations.TrailingZeroCount(slots);
            var request = _slots[slot]!;
            var isTransfer = request.Operation is BlockOperation.Read or BlockOperation.Write or BlockOperation.WriteZeroes;
            Take(slot, !isTransfer || _port.HasMoved(slot, request.Bytes) ? BlockStatus.Ok : BlockStatus.IoError, ref count);
        }
        return count;
    }

    // The command at which the port stopped failed; the others are issued again.
    private int Recover(uint running)
    {
        var count = 0;
        var failed = _port.Recover();
        _busy &= ~_settling;
        _settling = 0;
        if ((_issued & running & 1u << failed) != 0) Take(failed, BlockStatus.IoError, ref count);
        _filled |= _issued;
        _issued = 0;
        return count;
    }

    private void Take(int slot, BlockStatus status, ref int count)
    {
        var request = _slots[slot]!;
        request.Trace?.Pass(Hop.Noticed);
        if (_paths?.PathOf(slot) == RequestPath.Ring) request.RequestPath = RequestPath.Ring;
        if (status == BlockStatus.Ok) _costs.Note(request.Operation, request.Bytes, Stopwatch.GetTimestamp() - _started[slot]);
        _completed[count] = request;
        _completedStatus[count++] = status;
        _slots[slot] = null;
        _busy &= ~(1u << slot);
        _issued &= ~(1u << slot);
    }
}
