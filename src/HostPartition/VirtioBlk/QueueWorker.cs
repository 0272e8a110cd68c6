using Microsoft.Extensions.Logging;
using VmShunt.HostPartition.HardwareStack;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;
using VmShunt.Ring.Notification;
using VmShunt.Ring.VhostUser;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Ring.Virtqueue;

namespace VmShunt.HostPartition.VirtioBlk;

/// <summary>
/// The thread that serves one ring: takes chains, has them processed, returns them, and waits as its policy says. Generic
/// over the ring's layout, so that the loop is compiled whole for it.
/// </summary>
internal sealed class QueueWorker<TQueue> : IRunningVring where TQueue : struct, IDeviceQueue
{
    private const int MostTogether = 8;

    // Their places in what the thread sleeps on.
    private const int KickAt = 1, CompletedAt = 2;

    private readonly VringSetup _setup;
    private readonly VirtioBlkRequestProcessor _processor;
    private readonly bool _looksAhead;
    private DescriptorChain _chain = new();

    // Taken while the one before it was a read, so that its data is fetched while that one's is copied.
    private DescriptorChain _ahead = new();
    private bool _hasAhead;
    private readonly SharedFlag _stopping = new();
    private readonly EventFd _wake = EventFd.Create();
    private readonly Thread _thread;
    private readonly ILogger _log;
    private readonly WaitPolicy _policy;
    private readonly ParallelRequests? _parallel;

    // Where a request takes less than telling of it, chains that wait are done first, a few, and told of together.
    private readonly int _togetherAtMost;
    private TQueue _queue;
    private int _unpublished;

    internal QueueWorker(TQueue queue, VringSetup setup, VirtioBlkDevice device, WaitPolicy policy, ILogger log)
    {
        _queue = queue;
        _setup = setup;
        _processor = new VirtioBlkRequestProcessor(device, setup.Memory, _stopping);
        _parallel = ParallelRequests.TryOpen(device, _processor, _stopping, device.Negotiated.HasFlag(VirtioBlkFeatures.InOrder));
        _togetherAtMost = device.Disk.IsQuick ? MostTogether : 1;
        _looksAhead = device.Disk.IsQuick;
        _log = log;
        // Without a kick descriptor there is nothing to sleep on: the ring is polled.
        _policy = setup.Kick is null ? WaitPolicy.Busy : policy;
        _thread = new Thread(Run) { IsBackground = true, Name = $"vring {setup.Index}" };
        _thread.Start();
    }

    public uint Stop()
    {
        _stopping.Raise();
        _wake.Signal();
        _thread.Join();
        _wake.Dispose();
        return _queue.Position;
    }

    private void Run()
    {
        using var sleep = WhatWakes();
        using var stopped = new WaitSet(_wake.Handle);
        var spin = new SpinBudget(_policy, SpinBudget.DefaultSpin, mayMove: true);
        _queue.Disarm();
        _parallel?.Disarm();
        // What a process before this one took cannot be left to another: nobody but this queue knows of it.
        while (!_stopping.IsRaised || _queue.HasPending || _hasAhead)
        {
            var found = Take();
            if (found == QueueTake.Taken)
            {
                if (_parallel?.TryStart(_chain) != true && !Process()) continue;
                spin.Refill();
            }
            else if (_unpublished > 0)
            {
                Publish();
            }
            else if (FinishParallel())
            {
                spin.Refill();
            }
            else if (found == QueueTake.Broken)
            {
                DrainParallel();
                _log.RingBroken(_setup.Index, _queue.Fault!);
                _setup.Error?.Signal();
                // Only a new set-up helps now.
                stopped.Wait();
            }
            else if (_parallel is { IsDeep: true })
            {
                // A new chain comes when one of these is returned; until then the core is better left to the disk's interrupts.
                _parallel.WaitForOne();
            }
            else if (!spin.TrySpin())
            {
                Sleep(sleep);
                spin.Refill();
            }
        }
        if (_unpublished > 0) Publish();
        DrainParallel();
        _parallel?.Dispose();
    }

    private QueueTake Take()
    {
        if (!_hasAhead)
        {
            _processor.ExpectHeader();
            return _queue.TryTake(_chain);
        }
        _hasAhead = false;
        (_chain, _ahead) = (_ahead, _chain);
        return QueueTake.Taken;
    }

    /// <summary>
    /// Takes the chain after the one at hand. Only while that is sure to be returned: a write that waits for room may have to
    /// be given back, which the last one taken alone can.
    /// </summary>
    /// <returns>Where it will read.</returns>
    private ulong TakeAhead()
    {
        if (!_looksAhead || _stopping.IsRaised || !VirtioBlkRequestProcessor.IsHeaderOnly(_chain)) return DiskClassDriver.NoSector;
        _hasAhead = _queue.TryTake(_ahead) == QueueTake.Taken;
        return _hasAhead ? _processor.SectorToRead(_ahead) : DiskClassDriver.NoSector;
    }

    /// <returns>False when the chain is to be taken again.</returns>
    private bool Process()
    {
        // In the order in which a driver sees them end: what was begun side by side is not held up by this one.
        _parallel?.Submit();
        if (!_processor.TryProcess(_chain, TakeAhead(), out var written))
        {
            if (_unpublished > 0) Publish();
            DrainParallel();
            // It waited for room on a full disk until the ring was stopped: it is still the driver's to ask for.
            if (_queue.TryUntake(_chain.Handle)) return false;
            written = _processor.Fail(_chain);
        }
        _queue.Return(_chain.Handle, written);
        if (++_unpublished >= _togetherAtMost) Publish();
        return true;
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

    // Who has no kick descriptor polls, and never sleeps on this.
    private WaitSet WhatWakes() => (_setup.Kick, _parallel) switch
    {
        (null, _) => new WaitSet(_wake.Handle),
        ({ } kick, null) => new WaitSet(_wake.Handle, kick.Handle),
        ({ } kick, { } parallel) => new WaitSet(_wake.Handle, kick.Handle, parallel.Completed.Handle),
    };

    private void Sleep(WaitSet sleep)
    {
        if (!_queue.Arm() && _parallel?.Arm() != true)
        {
            sleep.Wait();
            if (sleep.IsReady(KickAt)) _setup.Kick?.TryDrain();
            if (_parallel is not null && sleep.IsReady(CompletedAt)) _parallel.Completed.TryDrain();
        }
        _parallel?.Disarm();
        _queue.Disarm();
    }
}
