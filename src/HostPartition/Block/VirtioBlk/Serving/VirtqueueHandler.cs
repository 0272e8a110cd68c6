using VmShunt.BlockBackend.Disk;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;
using VmShunt.Ring.VhostUser;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Ring.Virtqueue;

namespace VmShunt.BlockBackend.VirtioBlk.Serving;

/// <summary>
/// Serves one ring a step at a time: pops chains, executes their requests, returns the chains. A step never waits for work;
/// the caller chooses the wait strategy. One thread at a time. Generic over the ring's layout, so that a step is compiled
/// without dispatch.
/// </summary>
internal sealed class VirtqueueHandler<TQueue> where TQueue : struct, IDeviceQueue
{
    private const int MaxBatch = 8;

    private readonly VringSetup _setup;
    private readonly VirtioBlkRequestProcessor _processor;
    private readonly AsyncRequests? _async;

    // If processing is cheaper than a notification, several completions are coalesced into one used-ring publish.
    private readonly int _batchSize;
    private readonly bool _prefetches;
    private readonly SharedFlag _stopping;
    private DescriptorChain _chain = new();

    // The chain after a read is popped early, so that its data is prefetched while the read's data is copied.
    private DescriptorChain _next = new();
    private bool _hasNext;
    private TQueue _queue;
    private int _unpublished;
    private bool _isDeferred;

    /// <param name="queue">The ring, as its driver set it up.</param>
    /// <param name="setup">The ring's set-up.</param>
    /// <param name="device">The device that requests are for.</param>
    /// <param name="stopping">Cancels a wait for free space on a full disk.</param>
    internal VirtqueueHandler(TQueue queue, VringSetup setup, VirtioBlkDevice device, SharedFlag stopping)
    {
        _queue = queue;
        _setup = setup;
        _processor = new VirtioBlkRequestProcessor(device, setup.Memory, stopping);
        _async = AsyncRequests.TryOpen(device, _processor, stopping, setup.Memory, device.Negotiated.HasFlag(VirtioBlkFeatures.InOrder));
        _batchSize = device.Disk.IsMemoryResident ? MaxBatch : 1;
        _prefetches = device.Disk.IsMemoryResident;
        _stopping = stopping;
    }

    /// <summary>Signalled at an I/O completion while armed; null where requests are executed one by one.</summary>
    internal EventFd? Completed => _async?.Completed;

    /// <summary>
    /// Whether a stop must wait for further steps: a popped chain is not completed, or in-flight descriptors are inherited
    /// from a previous back-end.
    /// </summary>
    internal bool HasPending => _isDeferred || _hasNext || _queue.HasPending;

    /// <summary>Whether so many requests are in flight on the disk that waiting for one of them beats waiting for the driver.</summary>
    internal bool IsDeep => _async is { IsDeep: true };

    /// <summary>How the driver broke the ring, or null.</summary>
    internal string? Fault => _queue.Fault;

    /// <summary>The position of the next avail entry (GET_VRING_BASE), in the form of the ring's layout.</summary>
    internal uint Position => _queue.Position;

    /// <summary>Does one step.</summary>
    /// <param name="defersLong">Whether a long request is deferred to a step that does not defer.</param>
    internal HandlerStep Step(bool defersLong)
    {
        // No chain is executed synchronously instead: a driver that submits a new request per completion would then starve
        // the requests on the disk.
        if (_async is { IsFull: true }) return ReturnCompleted() ? HandlerStep.Worked : HandlerStep.Empty;
        var popped = _isDeferred ? PopResult.Popped : Pop();
        if (popped == PopResult.Popped) return _async?.TryQueue(_chain) == true ? HandlerStep.Worked : Process(defersLong);
        if (_unpublished > 0)
        {
            Publish();
            return HandlerStep.Published;
        }
        if (ReturnCompleted()) return HandlerStep.Worked;
        return popped == PopResult.Broken ? HandlerStep.Broken : HandlerStep.Empty;
    }

    /// <summary>Enables kick and I/O-completion notifications before blocking.</summary>
    /// <returns>True when there is work already: do not block.</returns>
    internal bool Arm() => _queue.Arm() || _async?.Arm() == true;

    /// <summary>Disables both notifications: the thread polls.</summary>
    internal void Disarm()
    {
        _async?.Disarm();
        _queue.Disarm();
    }

    /// <summary>Blocks until a request on the disk completes.</summary>
    internal void WaitForCompletion() => _async!.WaitForCompletion();

    /// <summary>Returns and publishes every popped chain but a deferred one.</summary>
    internal void Drain()
    {
        PublishPending();
        DrainAsync();
    }

    /// <summary>Publishes the completions that are not published yet.</summary>
    internal void PublishPending()
    {
        if (_unpublished > 0) Publish();
    }

    /// <summary>Only when drained.</summary>
    internal void Close() => _async?.Dispose();

    private PopResult Pop()
    {
        if (!_hasNext)
        {
            _processor.PrefetchHeader();
            return _queue.TryPop(_chain);
        }
        _hasNext = false;
        (_chain, _next) = (_next, _chain);
        return PopResult.Popped;
    }

    /// <summary>
    /// Pops the chain after the current one, unless the current one may have to be requeued: only the last popped chain can
    /// be, and a write that waits for free space may.
    /// </summary>
    /// <returns>The sector that it reads.</returns>
    private ulong PopNext()
    {
        if (!_hasNext)
        {
            if (!_prefetches || _stopping.IsRaised || !VirtioBlkRequestProcessor.IsHeaderOnly(_chain)) return HostClassDriver.NoSector;
            _hasNext = _queue.TryPop(_next) == PopResult.Popped;
        }
        return _hasNext ? _processor.SectorToRead(_next) : HostClassDriver.NoSector;
    }

    private HandlerStep Process(bool defersLong)
    {
        // Queued requests come before this one in the ring, so they are submitted before it blocks.
        _async?.Submit();
        _processor.DefersLong = defersLong;
        _isDeferred = false;
        if (!_processor.TryProcess(_chain, PopNext(), out var written))
        {
            Drain();
            if (defersLong)
            {
                _isDeferred = true;
                return HandlerStep.Deferred;
            }
            // The ring was stopped while the request waited for free space: the next start executes it.
            if (_queue.TryUnpop(_chain.Handle)) return HandlerStep.Requeued;
            written = _processor.Fail(_chain);
        }
        _queue.Return(_chain.Handle, written);
        if (++_unpublished >= _batchSize) Publish();
        ReturnCompleted();
        return HandlerStep.Worked;
    }

    private void Publish()
    {
        _unpublished = 0;
        if (_queue.Publish()) _setup.Call?.Signal();
    }

    /// <summary>Submits the queued requests, and returns all completed ones with one publish.</summary>
    /// <returns>Whether a request completed.</returns>
    private bool ReturnCompleted()
    {
        if (_async is null || _async.IsEmpty) return false;
        // The wait that follows submits the queued requests in the same system call.
        if (_async.IsDeep && !_async.HasCompletion) return false;
        _async.Submit();
        var any = false;
        while (_async.TryComplete(out var handle, out var written))
        {
            _queue.Return(handle, written);
            any = true;
        }
        if (any) Publish();
        return any;
    }

    private void DrainAsync()
    {
        if (_stopping.IsRaised) _async?.BeginDrain();
        while (_async is { IsEmpty: false })
        {
            if (!ReturnCompleted()) _async.WaitForCompletion();
        }
    }
}
