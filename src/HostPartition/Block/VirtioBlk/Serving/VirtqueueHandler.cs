using Microsoft.Extensions.Logging;
using VmShunt.BlockBackend.Disk;
using VmShunt.BlockBackend.Log;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Serving;
using VmShunt.Ring.VhostUser;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Ring.Virtqueue;

namespace VmShunt.BlockBackend.VirtioBlk.Serving;

/// <summary>
/// Serves one ring of the block device. Generic over the ring's layout, so that a step is compiled without dispatch.
/// </summary>
internal class VirtqueueHandler<TQueue> : VringHandler where TQueue : struct, IDeviceQueue
{
    private const int MaxBatch = 8;

    private readonly VirtualizationDriver _disk;
    private readonly ILogger _log;
    private readonly VirtioBlkRequestProcessor _processor;
    private readonly AsyncRequests? _async;

    // If processing is cheaper than a notification, several completions are coalesced into one used-ring publish.
    private readonly int _batchSize;
    private readonly bool _prefetches;
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
    /// <param name="log">For a stop that the disk holds up.</param>
    internal VirtqueueHandler(TQueue queue, VringSetup setup, VirtioBlkDevice device, ILogger log)
        : base(setup)
    {
        _queue = queue;
        _disk = device.Disk;
        _log = log;
        // Only a disk that processes pass on keeps its next host from overtaking what this one has abandoned.
        MayAbandon = setup.MayLeaveInflight && _disk.CanAbandon && (!setup.IsLogged || _disk.Lease.CanPassOn);
        var calls = MayAbandon ? Calls : null;
        // A stop cancels a wait for free space on a full disk.
        _processor = new VirtioBlkRequestProcessor(device, setup.Memory, Stopping, calls);
        _async = AsyncRequests.TryOpen(device, _processor, calls, setup.Memory, device.Negotiated.HasFlag(VirtioBlkFeatures.InOrder));
        _batchSize = device.Disk.IsMemoryResident ? MaxBatch : 1;
        _prefetches = device.Disk.IsMemoryResident;
    }

    /// <inheritdoc/>
    public override EventFd? Completed => _async?.Completed;

    /// <inheritdoc/>
    public override bool HasPending => HasChains && _disk.Lease.IsHeld && !(MayAbandon && _disk.HasLateCommand);

    /// <inheritdoc/>
    public override bool MayAbandon { get; }

    /// <inheritdoc/>
    public override bool HasInflight => Calls.IsAbandoned || HasChains;

    private bool HasChains => _isDeferred || _hasNext || _queue.HasPending;

    /// <inheritdoc/>
    public override bool IsDeep => _async is { IsDeep: true };

    /// <inheritdoc/>
    public override string? Fault => _queue.Fault;

    /// <inheritdoc/>
    public override uint Position => _queue.Position;

    /// <inheritdoc/>
    public override HandlerStep Step(bool defersLong)
    {
        if (_disk.MustWait) return Hold();
        // No chain is executed synchronously instead: a driver that submits a new request per completion would then starve
        // the requests on the disk.
        if (_async is { IsFull: true }) return ReturnCompleted() ? HandlerStep.Worked : HandlerStep.Empty;
        var popped = TakeChain();
        return popped == PopResult.Popped ? ServeChain(defersLong) : StepWithoutChain(popped);
    }

    /// <summary>Whether no chain can be popped at the moment.</summary>
    private protected bool IsHeldUp => _disk.MustWait || _async is { IsFull: true };

    /// <summary>Takes the deferred chain, or the next one.</summary>
    private protected PopResult TakeChain() => _isDeferred ? PopResult.Popped : Pop();

    /// <summary>Serves the chain that was taken.</summary>
    private protected HandlerStep ServeChain(bool defersLong) => _async?.TryQueue(_chain) == true ? HandlerStep.Worked : Process(defersLong);

    /// <summary>Fails the chain that was taken.</summary>
    private protected HandlerStep FailChain()
    {
        _isDeferred = false;
        _queue.Return(_chain.Handle, _processor.Fail(_chain));
        Publish();
        return HandlerStep.Worked;
    }

    /// <summary>Whether the chain that was taken changes the disk.</summary>
    private protected bool IsChange => _processor.IsChange(_chain);

    /// <summary>Publishes what is complete, where there is no chain to take.</summary>
    private protected HandlerStep StepWithoutChain(PopResult popped)
    {
        if (_unpublished > 0)
        {
            Publish();
            return HandlerStep.Published;
        }
        if (ReturnCompleted()) return HandlerStep.Worked;
        if (Calls.IsAbandoned) return HandlerStep.Abandoned;
        return popped == PopResult.Broken ? HandlerStep.Broken : HandlerStep.Empty;
    }

    /// <inheritdoc/>
    public override bool Arm() =>
        _disk.MustWait || HasChains || (_async is { IsFull: true } ? _async.Arm() : _queue.Arm() || _async?.Arm() == true);

    /// <inheritdoc/>
    public override void Disarm()
    {
        _async?.Disarm();
        if (!Calls.IsAbandoned) _queue.Disarm();
    }

    /// <inheritdoc/>
    public override void WaitForCompletion() => _ = _async!.WaitForCompletion();

    /// <inheritdoc/>
    public override void Drain()
    {
        PublishPending();
        DrainAsync();
    }

    /// <inheritdoc/>
    public override void PublishPending()
    {
        if (_unpublished > 0) Publish();
    }

    /// <inheritdoc/>
    public override void Close()
    {
        if (Calls.IsAbandoned)
        {
            _async?.Discard();
            _disk.EndLateCommand();
            _log.AbandonedRequestEnded(_disk.Description, Setup.Index);
        }
        _async?.Dispose();
    }

    /// <inheritdoc/>
    public override void OnAbandoned()
    {
        _disk.BeginLateCommand();
        _log.RequestAbandoned(_disk.Description, Setup.Index);
    }

    /// <inheritdoc/>
    public override void OnSlowStop() => _log.StopWaits(
        Setup.Index,
        _disk.Description,
        Setup.Inflight.Length == 0 ? "the front-end keeps no record of requests in flight (INFLIGHT_SHMFD)"
        : !Setup.MayLeaveInflight ? "this migration does not take the record of requests in flight along (QEMU 11.1: inflight-migration=on)"
        : !_disk.CanAbandon ? "its requests use the guest's memory until it answers (direct I/O, or a disk of one's own)"
        : "it is busy");

    // Chains stay in the ring; a sleep, because arming a ring that has work does not block.
    private protected HandlerStep Hold()
    {
        PublishPending();
        if (ReturnCompleted()) return HandlerStep.Worked;
        Thread.Sleep(1);
        return HandlerStep.Empty;
    }

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
            if (!_prefetches || Stopping.IsRaised || !VirtioBlkRequestProcessor.IsHeaderOnly(_chain)) return HostClassDriver.NoSector;
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
            if (Calls.IsAbandoned) return HandlerStep.Abandoned;
            Drain();
            if (Calls.IsAbandoned) return HandlerStep.Abandoned;
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
        return Calls.IsAbandoned ? HandlerStep.Abandoned : HandlerStep.Worked;
    }

    private void Publish()
    {
        _unpublished = 0;
        if (_queue.Publish()) DriverCall.Signal();
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
        // The completions that are not published yet stay in the record: the next start executes them again.
        if (Calls.IsAbandoned) return false;
        if (any) Publish();
        return any;
    }

    private void DrainAsync()
    {
        _async?.BeginDrain();
        Complete();
    }

    /// <summary>Completes what is outstanding, unless it is abandoned meanwhile.</summary>
    private protected void Complete()
    {
        while (_async is { IsEmpty: false })
        {
            if (ReturnCompleted()) continue;
            if (Calls.IsAbandoned || !_async.WaitForCompletion()) return;
        }
    }
}
