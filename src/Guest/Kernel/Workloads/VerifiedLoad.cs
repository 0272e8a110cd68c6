using System.Diagnostics;
using VmShunt.BlockDriver;
using VmShunt.BlockDriver.Memory;
using VmShunt.Guest.Crash;
using VmShunt.Guest.Machine;
using VmShunt.Guest.Requests;
using VmShunt.Ring.Memory;

namespace VmShunt.Guest.Workloads;

/// <summary>
/// A load that verifies every block. Many requests are in flight, at most one per block. Blocks that it wrote must hold
/// their pattern; others must keep the content of their first read. A cancelled request must never change its block or
/// buffer.
/// </summary>
internal sealed class VerifiedLoad : IDisposable
{
    private const int LargestBlockSectors = 8;
    private const int BlocksPerWorker = 16;
    private const byte Untouched = 0xA5;

    private readonly DiskClassDriver _disk;
    private readonly GuestPages _pages;
    private readonly GuestBuffer _memory;
    private readonly ulong _firstSector;
    private readonly int _blockSectors;
    private readonly bool _write;
    private readonly bool _polled;
    private readonly BlockCounters _before;
    private readonly long _blocks;
    private readonly long[] _generations;
    private readonly uint[] _checksums;
    private readonly bool[] _known;
    private readonly Task[] _workers;
    private readonly int _seed;
    private readonly RandomCancellation? _cancellation;
    private readonly bool[] _untouched;
    private readonly SharedFlag _stopping = new();
    private readonly SharedFlag _watching = new();
    private int _inFlightAtSwitch;
    private long _mismatched, _failed;
    private long _lastCompletion, _maxPause;

    private VerifiedLoad(
        DiskClassDriver disk, GuestPages pages, int depth, bool write, ulong firstSector, ulong sectors, ApplicationProcessors? applications, int queues, bool polled, bool cancel)
    {
        _disk = disk;
        _pages = pages;
        _write = write;
        _polled = polled;
        _firstSector = firstSector;
        // A small range has small blocks, so that there are enough for the depth.
        _blockSectors = (int)Math.Clamp(sectors / (ulong)depth, 1, LargestBlockSectors);
        _blocks = Math.Min(depth * BlocksPerWorker, (long)sectors / _blockSectors);
        depth = (int)Math.Min(depth, _blocks);
        _memory = pages.Allocate(depth * BlockBytes);
        _generations = new long[_blocks];
        _checksums = new uint[_blocks];
        _known = new bool[_blocks];
        _before = disk.Counters;
        _seed = Environment.TickCount;
        _untouched = new bool[depth];
        if (cancel) _cancellation = new RandomCancellation(depth, _seed);
        _workers = polled || applications is { Count: > 1 }
            ? [.. Enumerable.Range(0, depth).Select(i => StartWork(i, depth, applications))]
            : Workers.Start(depth, queues, i => Work(i, depth));
    }

    private int BlockBytes => _blockSectors * DiskClassDriver.SectorBytes;

    /// <summary>The result of a load.</summary>
    internal readonly record struct Result(
        long Requests, long Completed, long Failed, long Lost, long Repeated, long Mismatched, int InFlightAtSwitch, double MaxPauseMicroseconds, long Cancelled);

    /// <summary>Starts the load; it runs until <see cref="Stop"/>.</summary>
    /// <param name="disk">The stack to use.</param>
    /// <param name="pages">The allocator of its buffers.</param>
    /// <param name="depth">Requests in flight.</param>
    /// <param name="write">Whether half of the requests are writes.</param>
    /// <param name="firstSector">The first sector of the range.</param>
    /// <param name="sectors">The sectors of the range.</param>
    /// <param name="applications">The processors to run on; with one or none, workers run on the threads that complete their requests.</param>
    /// <param name="queues">The queues of the bus to spread over, without application processors.</param>
    /// <param name="polled">Whether each request is a polled call on its own thread; needs <paramref name="applications"/>.</param>
    /// <param name="cancel">Whether requests are cancelled at random; polled calls are not.</param>
    /// <exception cref="ArgumentOutOfRangeException">The range is empty.</exception>
    internal static VerifiedLoad Start(
        DiskClassDriver disk, GuestPages pages, int depth, bool write, ulong firstSector, ulong sectors, ApplicationProcessors? applications = null,
        int queues = 1, bool polled = false, bool cancel = false)
    {
        ArgumentOutOfRangeException.ThrowIfZero(sectors);
        ArgumentOutOfRangeException.ThrowIfLessThan(depth, 1);
        return new VerifiedLoad(disk, pages, depth, write, firstSector, sectors, applications, queues, polled, cancel);
    }

    /// <summary>Starts measuring the longest time without a completion.</summary>
    internal void WatchPauses()
    {
        Interlocked.Exchange(ref _lastCompletion, Stopwatch.GetTimestamp());
        _watching.Raise();
    }

    /// <summary>Records the requests in flight at a mode change. The thread that stops the load.</summary>
    internal void NoteSwitch(int inFlight) => _inFlightAtSwitch = inFlight;

    /// <summary>Lets requests in flight complete, reads every block again, and returns the result. Blocks.</summary>
    internal Result Stop()
    {
        _stopping.Raise();
        Task.WaitAll(_workers);
        _cancellation?.Dispose();
        var after = _disk.Counters;
        return new Result(
            after.Submitted - _before.Submitted,
            after.Completed - _before.Completed,
            Ordered.Load(ref _failed),
            after.InFlight - _before.InFlight,
            after.Repeated - _before.Repeated,
            Ordered.Load(ref _mismatched),
            _inFlightAtSwitch,
            Ordered.Load(ref _maxPause) * 1e6 / Stopwatch.Frequency,
            after.Cancelled - _before.Cancelled);
    }

    public void Dispose() => _pages.Free(_memory);

    private Task StartWork(int worker, int workers, ApplicationProcessors? applications)
    {
        if (_polled) return applications!.RunAlone(() => Work(worker, workers));
        return applications!.Run(worker, () => Work(worker, workers));
    }

    private async Task Work(int worker, int workers)
    {
        var random = new Random(_seed + worker);
        var buffer = _memory.Slice(worker * BlockBytes, BlockBytes);
        var own = (_blocks - worker + workers - 1) / workers;
        try
        {
            while (!_stopping.IsRaised)
            {
                var block = worker + workers * random.NextInt64(own);
                await Touch(block, buffer, worker, write: _write && random.Next(2) == 0, _cancellation?.TokenOf(worker) ?? default);
            }
            for (var block = (long)worker; block < _blocks; block += workers)
            {
                if (_known[block]) await Touch(block, buffer, worker, write: false, default);
            }
        }
        catch (StackRemovedException)
        {
            // The stack rejected the next request; all others have completed.
        }
    }

    private BlockStatus Call(ulong sector, GuestBuffer buffer, bool write)
    {
        try
        {
            if (write) _disk.Write(sector, buffer);
            else _disk.Read(sector, buffer);
            return BlockStatus.Ok;
        }
        catch (BlockIoException e)
        {
            return e.Status;
        }
    }

    private async ValueTask Touch(long block, GuestBuffer buffer, int worker, bool write, CancellationToken cancel)
    {
        var sector = _firstSector + (ulong)(block * _blockSectors);
        if (_untouched[worker]) CheckUntouched(buffer);
        if (write) BlockPattern.Fill(buffer.Span, block, _generations[block] + 1);
        else if (cancel.CanBeCanceled) buffer.Span.Fill(Untouched);
        BlockStatus status;
        if (_polled) status = Call(sector, buffer, write);
        else status = write ? await _disk.TryWriteAsync(sector, buffer, cancel) : await _disk.TryReadAsync(sector, buffer, cancel);
        // Checked now, and again before the buffer's next use, to detect a late write.
        _untouched[worker] = status == BlockStatus.Cancelled && !write;
        if (_untouched[worker]) CheckUntouched(buffer);
        if (status != BlockStatus.Cancelled && write)
        {
            ++_generations[block];
            _known[block] |= status == BlockStatus.Ok;
        }
        if (status == BlockStatus.Ok && !write) Check(block, buffer);
        if (status is not (BlockStatus.Ok or BlockStatus.Cancelled)) Interlocked.Increment(ref _failed);
        NoteCompletion();
    }

    private void CheckUntouched(GuestBuffer buffer)
    {
        if (buffer.Span.IndexOfAnyExcept(Untouched) >= 0) Interlocked.Increment(ref _mismatched);
    }

    private void Check(long block, GuestBuffer buffer)
    {
        if (_generations[block] > 0)
        {
            if (!BlockPattern.Matches(buffer.Span, block, _generations[block])) Interlocked.Increment(ref _mismatched);
            return;
        }
        var checksum = Crc32C.Of(buffer.Span);
        if (_known[block] && _checksums[block] != checksum) Interlocked.Increment(ref _mismatched);
        _checksums[block] = checksum;
        _known[block] = true;
    }

    private void NoteCompletion()
    {
        if (!_watching.IsRaised) return;
        var now = Stopwatch.GetTimestamp();
        var pause = now - Interlocked.Exchange(ref _lastCompletion, now);
        for (var longest = Ordered.Load(ref _maxPause); pause > longest;)
        {
            var seen = Interlocked.CompareExchange(ref _maxPause, pause, longest);
            if (seen == longest) break;
            longest = seen;
        }
    }
}
