using VmShunt.HostPartition.Disk;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;
using VmShunt.Ring.VhostUser;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Ring.Virtqueue;

namespace VmShunt.HostPartition.VirtioBlk.Serving;

/// <summary>
/// Serves one ring a step at a time: takes chains, has them processed, returns them. It never sleeps on its own account;
/// who has it take steps decides how to wait, one thread at a time. Generic over the ring's layout, so that a step is
/// compiled whole for it.
/// </summary>
internal sealed class VirtqueueHandler<TQueue> where TQueue : struct, IDeviceQueue
{
    private const int MostTogether = 8;

    private readonly VringSetup _setup;
    private readonly VirtioBlkRequestProcessor _processor;
    private readonly AsyncRequests? _parallel;

    // Where a request takes less than telling of it, chains that wait are done first, a few, and told of together.
    private readonly int _togetherAtMost;
    private readonly bool _looksAhead;
    private readonly SharedFlag _stopping;
    private DescriptorChain _chain = new();

    // Taken while the one before it was a read, so that its data is fetched while that one's is copied.
    private DescriptorChain _ahead = new();
    private bool _hasAhead;
    private TQueue _queue;
    private int _unpublished;
    private bool _isLeft;

    /// <param name="queue">The ring, as its driver set it up.</param>
    /// <param name="setup">The set-up.</param>
    /// <param name="device">What requests mean.</param>
    /// <param name="stopping">Raised when requests must not wait for room on a full disk any longer.</param>
    internal VirtqueueHandler(TQueue queue, VringSetup setup, VirtioBlkDevice device, SharedFlag stopping)
    {
        _queue = queue;
        _setup = setup;
        _processor = new VirtioBlkRequestProcessor(device, setup.Memory, stopping);
        _parallel = AsyncRequests.TryOpen(device, _processor, stopping, device.Negotiated.HasFlag(VirtioBlkFeatures.InOrder));
        _togetherAtMost = device.Disk.IsQuick ? MostTogether : 1;
        _looksAhead = device.Disk.IsQuick;
        _stopping = stopping;
    }

    /// <summary>Signalled when the disk has ended a request, while armed; null where each is done before the next.</summary>
    internal EventFd? Completed => _parallel?.Completed;

    /// <summary>
    /// Whether there is something that cannot be left to another: what a process before this one took nobody but this queue
    /// knows of, and what was taken and left is taken.
    /// </summary>
    internal bool HasPending => _isLeft || _hasAhead || _queue.HasPending;

    /// <summary>Whether so many are under way on the disk that it is better waited for than the driver.</summary>
    internal bool IsDeep => _parallel is { IsDeep: true };

    /// <summary>What the driver did wrong, or null.</summary>
    internal string? Fault => _queue.Fault;

    /// <summary>Where the next entry would be taken (GET_VRING_BASE), in the form of the ring's layout.</summary>
    internal uint Position => _queue.Position;

    /// <summary>Does the next thing that is to be done.</summary>
    /// <param name="leavesLong">Whether a request that may take long is left to a step that does not leave it.</param>
    internal HandlerStep Step(bool leavesLong)
    {
        // A chain that finds no place is not done by itself meanwhile: while the driver has a new one for each that is
        // answered, those on the disk would never be.
        if (_parallel is { IsFull: true }) return FinishParallel() ? HandlerStep.Worked : HandlerStep.Empty;
        var found = _isLeft ? PopResult.Taken : Take();
        if (found == PopResult.Taken) return _parallel?.TryStart(_chain) == true ? HandlerStep.Worked : Process(leavesLong);
        if (_unpublished > 0)
        {
            Publish();
            return HandlerStep.Published;
        }
        if (FinishParallel()) return HandlerStep.Worked;
        return found == PopResult.Broken ? HandlerStep.Broken : HandlerStep.Empty;
    }

    /// <summary>Asks for a kick, and for word of what the disk ends. For who is about to sleep.</summary>
    /// <returns>True when there is something to do already: do not sleep.</returns>
    internal bool Arm() => _queue.Arm() || _parallel?.Arm() == true;

    /// <summary>Asks for neither: who serves looks.</summary>
    internal void Disarm()
    {
        _parallel?.Disarm();
        _queue.Disarm();
    }

    /// <summary>Waits until the disk has ended one of those under way.</summary>
    internal void WaitForOne() => _parallel!.WaitForOne();

    /// <summary>Returns, and tells of, everything that was taken and not left.</summary>
    internal void Drain()
    {
        PublishRest();
        DrainParallel();
    }

    /// <summary>Tells the driver of what is done, if it has not been told.</summary>
    internal void PublishRest()
    {
        if (_unpublished > 0) Publish();
    }

    /// <summary>Nothing is served any more. Only when drained.</summary>
    internal void Close() => _parallel?.Dispose();

    private PopResult Take()
    {
        if (!_hasAhead)
        {
            _processor.ExpectHeader();
            return _queue.TryTake(_chain);
        }
        _hasAhead = false;
        (_chain, _ahead) = (_ahead, _chain);
        return PopResult.Taken;
    }

    /// <summary>
    /// Takes the chain after the one at hand. Only while that is sure to be returned: a write that waits for room may have to
    /// be given back, which the last one taken alone can.
    /// </summary>
    /// <returns>Where it will read.</returns>
    private ulong TakeAhead()
    {
        if (!_hasAhead)
        {
            if (!_looksAhead || _stopping.IsRaised || !VirtioBlkRequestProcessor.IsHeaderOnly(_chain)) return HostClassDriver.NoSector;
            _hasAhead = _queue.TryTake(_ahead) == PopResult.Taken;
        }
        return _hasAhead ? _processor.SectorToRead(_ahead) : HostClassDriver.NoSector;
    }

    private HandlerStep Process(bool leavesLong)
    {
        // In the order in which a driver sees them end: what was begun side by side is not held up by this one.
        _parallel?.Submit();
        _processor.LeavesLong = leavesLong;
        _isLeft = false;
        if (!_processor.TryProcess(_chain, TakeAhead(), out var written))
        {
            Drain();
            if (leavesLong)
            {
                _isLeft = true;
                return HandlerStep.Left;
            }
            // It waited for room on a full disk until the ring was stopped: it is still the driver's to ask for.
            if (_queue.TryUntake(_chain.Handle)) return HandlerStep.Untaken;
            written = _processor.Fail(_chain);
        }
        _queue.Return(_chain.Handle, written);
        if (++_unpublished >= _togetherAtMost) Publish();
        FinishParallel();
        return HandlerStep.Worked;
    }

    private void Publish()
    {
        _unpublished = 0;
        if (_queue.Publish()) _setup.Call?.Signal();
    }

    /// <summary>Has begun what was started, and returns what is done, all of it in one go.</summary>
    /// <returns>Whether anything was done.</returns>
    private bool FinishParallel()
    {
        if (_parallel is null || _parallel.IsEmpty) return false;
        // The wait that is next takes along what was started.
        if (_parallel.IsDeep && !_parallel.HasEnded) return false;
        _parallel.Submit();
        var any = false;
        while (_parallel.TryFinish(out var handle, out var written))
        {
            _queue.Return(handle, written);
            any = true;
        }
        if (any) Publish();
        return any;
    }

    private void DrainParallel()
    {
        while (_parallel is { IsEmpty: false })
        {
            if (!FinishParallel()) _parallel.WaitForOne();
        }
    }
}
