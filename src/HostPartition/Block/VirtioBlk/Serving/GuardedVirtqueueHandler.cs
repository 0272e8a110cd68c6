using Microsoft.Extensions.Logging;
using VmShunt.BlockBackend.Transition;
using VmShunt.Ring.Memory;
using VmShunt.Ring.Serving;
using VmShunt.Ring.VhostUser;
using VmShunt.Ring.Virtqueue;

namespace VmShunt.BlockBackend.VirtioBlk.Serving;

/// <summary>A ring that follows the orders of a transition.</summary>
internal interface IGuardedRing
{
    /// <summary>The requests so far. Any thread.</summary>
    long Requests { get; }

    /// <summary>Notes how far the ring is published. Any thread, while the ring is not closed.</summary>
    void Mark();

    /// <summary>Whether a chain was published after the mark. As <see cref="Mark"/>.</summary>
    bool HasPublished();

    /// <summary>Makes the ring take a step.</summary>
    void Wake();

    /// <summary>Whether it follows this order to refuse, or serves no chain any more. Any thread.</summary>
    bool IsQuiet(int word);
}

/// <summary>Serves one ring of a guest that may have a transition: while nothing is ordered, as any ring.</summary>
internal sealed class GuardedVirtqueueHandler<TQueue> : VirtqueueHandler<CountedQueue<TQueue>>, IGuardedRing where TQueue : struct, IDeviceQueue
{
    private const int Broken = -1;

    private readonly RingSession _session;
    private readonly ChainCount _count;
    private uint _mark;
    private int _followed;

    internal GuardedVirtqueueHandler(TQueue queue, VringSetup setup, VirtioBlkDevice device, ILogger log, RingSession session)
        : this(queue, new ChainCount(), setup, device, log, session)
    {
    }

    private GuardedVirtqueueHandler(TQueue queue, ChainCount count, VringSetup setup, VirtioBlkDevice device, ILogger log, RingSession session)
        : base(new CountedQueue<TQueue>(queue, count), setup, device, log)
    {
        _count = count;
        _session = session;
        session.Add(this);
    }

    public long Requests => _count.Value;

    /// <inheritdoc/>
    public override bool HasPending => base.HasPending && _session.Gate.Order != RingOrder.Hold;

    public void Mark() => _mark = FindPublished();

    public bool HasPublished() => Setup.IsBeyond(FindPublished(), _mark);

    public void Wake() => Setup.Kick?.Signal();

    public bool IsQuiet(int word) => Ordered.Load(ref _followed) is var followed && (followed == word || followed == Broken);

    /// <inheritdoc/>
    public override HandlerStep Step(bool defersLong)
    {
        var word = _session.Gate.Word;
        var order = RingGate.OrderOf(word);
        var step = order == RingOrder.Serve ? base.Step(defersLong) : Follow(order, word, defersLong);
        if (step == HandlerStep.Broken) Ordered.Store(ref _followed, Broken);
        return step;
    }

    /// <inheritdoc/>
    public override void Close()
    {
        _session.Remove(this);
        base.Close();
    }

    private HandlerStep Follow(RingOrder order, int word, bool defersLong)
    {
        switch (order)
        {
            case RingOrder.Watch:
                var step = base.Step(defersLong);
                if (Setup.IsBeyond(Position, _mark)) _session.ReportAlive();
                return step;
            case RingOrder.Hold:
                return Hold();
            case RingOrder.RefuseWrites:
                return RefuseWrites(defersLong);
            default:
                return Refuse(word);
        }
    }

    private HandlerStep RefuseWrites(bool defersLong)
    {
        // Pops nothing.
        if (IsHeldUp) return base.Step(defersLong);
        var popped = TakeChain();
        if (popped != PopResult.Popped) return StepWithoutChain(popped);
        if (!IsChange) return ServeChain(defersLong);
        _session.ReportFailure();
        return FailChain();
    }

    private HandlerStep Refuse(int word)
    {
        PublishPending();
        Complete();
        if (Calls.IsAbandoned) return HandlerStep.Abandoned;
        Ordered.Store(ref _followed, word);
        var popped = TakeChain();
        if (popped != PopResult.Popped) return StepWithoutChain(popped);
        _session.ReportFailure();
        return FailChain();
    }

    private uint FindPublished() => Setup.FindPublished(() => Position);
}
