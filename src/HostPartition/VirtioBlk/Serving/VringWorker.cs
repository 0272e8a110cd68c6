using Microsoft.Extensions.Logging;
using VmShunt.HostPartition.Log;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;
using VmShunt.Ring.Notification;
using VmShunt.Ring.VhostUser;
using VmShunt.Ring.Virtqueue;

namespace VmShunt.HostPartition.VirtioBlk.Serving;

/// <summary>
/// A ring being served: by a thread of its own, which waits as its policy says, or by a poller that serves others too.
/// With a poller, a request that may take long, and a ring that its driver broke, get a thread of their own until the ring
/// is quiet. One of the two owns the ring at any time, and looks first whether it is to stop.
/// </summary>
internal sealed class VringWorker<TQueue> : PollGroupMember, IRunningVring where TQueue : struct, IDeviceQueue
{
    // Then it is another ring's turn.
    private const int MostAVisit = 16;

    // Their places in what the thread sleeps on.
    private const int KickAt = 1, CompletedAt = 2;

    private readonly VringSetup _setup;
    private readonly VirtqueueHandler<TQueue> _server;
    private readonly SharedFlag _stopping = new();
    private readonly TaskCompletionSource _stopped = new();
    private readonly EventFd _wake = EventFd.Create();
    private readonly PollGroup? _poller;
    private readonly ILogger _log;
    private readonly WaitPolicy _policy;
    private bool _staysAlone;
    private Thread? _thread;

    /// <summary>Starts to serve.</summary>
    /// <param name="queue">The ring, as its driver set it up.</param>
    /// <param name="setup">The set-up.</param>
    /// <param name="device">What requests mean.</param>
    /// <param name="policy">How a thread of its own waits.</param>
    /// <param name="pollers">One of them serves it if that is possible.</param>
    /// <param name="log">Told of a ring that is broken.</param>
    internal VringWorker(TQueue queue, VringSetup setup, VirtioBlkDevice device, WaitPolicy policy, PollGroups pollers, ILogger log)
    {
        _setup = setup;
        _server = new VirtqueueHandler<TQueue>(queue, setup, device, _stopping);
        _log = log;
        // Without a kick descriptor there is nothing to sleep on: the ring is polled, at nobody else's expense.
        _policy = setup.Kick is null ? WaitPolicy.Busy : policy;
        _poller = setup.Kick is null || !device.Disk.NeverWaits ? null : pollers.TryAssign();
        if (_poller is null) ServeAlone(forGood: true);
        else _poller.Add(this);
    }

    internal override EventFd Kick => _setup.Kick!;

    internal override bool IsStopping => _stopping.IsRaised;

    public uint Stop()
    {
        _stopping.Raise();
        _wake.Signal();
        _poller?.Release(this);
        _stopped.Task.Wait();
        _thread?.Join();
        _wake.Dispose();
        return _server.Position;
    }

    internal override void ServeAlone(bool forGood)
    {
        _staysAlone = forGood;
        _thread = new Thread(Run) { IsBackground = true, Name = $"vring {_setup.Index}" };
        _thread.Start();
    }

    internal override RingVisit Visit()
    {
        for (var steps = 0; steps < MostAVisit; steps++)
        {
            switch (_server.Step(leavesLong: true))
            {
                case HandlerStep.Worked:
                    continue;
                case HandlerStep.Published:
                    return RingVisit.Worked;
                case HandlerStep.Empty:
                    return steps > 0 ? RingVisit.Worked : RingVisit.Empty;
                default:
                    return RingVisit.Unsuitable;
            }
        }
        _server.PublishRest();
        return RingVisit.Worked;
    }

    internal override bool Arm() => _server.Arm();

    internal override void Disarm() => _server.Disarm();

    internal override void Finish()
    {
        if (_server.HasPending) ServeAlone(forGood: true);
        else End();
    }

    private void End()
    {
        _server.Drain();
        _server.Close();
        _stopped.SetResult();
    }

    private void Run()
    {
        using var sleep = WhatWakes();
        using var stopped = new WaitSet(_wake.Handle);
        var spin = new SpinBudget(_staysAlone || _policy == WaitPolicy.Never ? _policy : WaitPolicy.Adaptive, SpinBudget.DefaultSpin, mayMove: true);
        _server.Disarm();
        // What cannot be left to another is done even now.
        while (!_stopping.IsRaised || _server.HasPending)
        {
            switch (_server.Step(leavesLong: false))
            {
                case HandlerStep.Worked:
                    spin.Refill();
                    break;
                case HandlerStep.Broken:
                    _server.Drain();
                    _log.RingBroken(_setup.Index, _server.Fault!);
                    _setup.Error?.Signal();
                    // Only a new set-up helps now.
                    stopped.Wait();
                    break;
                case HandlerStep.Empty when _server.IsDeep:
                    // A new chain comes when one of these is returned; until then the core is better left to the disk's interrupts.
                    _server.WaitForOne();
                    break;
                case HandlerStep.Empty when !spin.TrySpin():
                    if (!_staysAlone)
                    {
                        _poller!.Add(this);
                        return;
                    }
                    Sleep(sleep);
                    spin.Refill();
                    break;
            }
        }
        End();
    }

    // Who has no kick descriptor polls, and never sleeps on this.
    private WaitSet WhatWakes() => (_setup.Kick, _server.Completed) switch
    {
        (null, _) => new WaitSet(_wake.Handle),
        ({ } kick, null) => new WaitSet(_wake.Handle, kick.Handle),
        ({ } kick, { } completed) => new WaitSet(_wake.Handle, kick.Handle, completed.Handle),
    };

    private void Sleep(WaitSet sleep)
    {
        if (!_server.Arm())
        {
            sleep.Wait();
            if (sleep.IsReady(KickAt)) _setup.Kick?.TryDrain();
            if (_server.Completed is { } completed && sleep.IsReady(CompletedAt)) completed.TryDrain();
        }
        _server.Disarm();
    }
}
