using System.Diagnostics;
using VmShunt.Ring.Memory;
using VmShunt.Ring.VhostUser;
using VmShunt.Ring.Virtqueue;

namespace VmShunt.Ring.Serving;

/// <summary>
/// One virtqueue of a <see cref="VirtioDevice"/>, from its start until it is stopped; a queue that is started again is a new
/// object. Used inside <see cref="VirtioDevice.Serve"/>, on the thread that calls it; other uses throw. No request allocates
/// memory after its slot's first use.
/// </summary>
/// <remarks>
/// Completions are published at the end of a turn, before that when there are many, and before the next chain is taken if a
/// request was slow. The driver is called only if it wants to be.
/// </remarks>
public sealed class Virtqueue
{
    // The most chains of one turn: then a stop is noticed, and completions are published.
    private const int MaxPerTurn = 16;

    // If processing is cheaper than a notification, so many completions are coalesced into one publish.
    private const int MaxBatch = 8;

    private static readonly long s_cheap = Stopwatch.Frequency / 200_000;

    private readonly IDeviceQueue _ring;
    private readonly VringSetup _setup;
    private readonly DriverCall _call;
    private readonly SharedFlag _stopping;
    private readonly FailureReports _reports;
    private readonly IoVectors _pieces = new();
    private readonly ChainSlot?[] _slots;
    private readonly int[] _free;
    private int _freeCount;

    // The next chain, popped before the device takes it.
    private readonly DescriptorChain _next = new();
    private bool _hasNext, _isInherited;

    private uint _turn;
    private int _budget, _consumed, _unpublished;
    private long _takenAt;

    // The thread inside Serve; 0 outside of it.
    private int _thread;

    internal Virtqueue(IDeviceQueue ring, VringSetup setup, DriverCall call, SharedFlag stopping, FailureReports reports)
    {
        (_ring, _setup, _call, _stopping, _reports) = (ring, setup, call, stopping, reports);
        _slots = new ChainSlot?[setup.Size];
        _free = [.. Enumerable.Range(0, setup.Size).Reverse()];
        _freeCount = setup.Size;
    }

    /// <summary>The queue's index.</summary>
    public int Index => _setup.Index;

    /// <summary>Entries of the ring, as the driver chose them.</summary>
    public int Size => _setup.Size;

    /// <summary>
    /// Whether the queue is to be stopped. A device that waits inside Serve polls it, and returns. Chains that it still keeps
    /// are then returned with nothing written. Any thread.
    /// </summary>
    public bool IsStopping => _stopping.IsRaised;

    /// <summary>
    /// Takes the next available chain, whose buffers are all in the guest's memory. A chain with another address is returned
    /// to the guest with nothing written, and reported.
    /// </summary>
    /// <returns>False when none is available or the turn's budget is spent: return from Serve, which is called again.</returns>
    public bool TryTake(out VirtqueueChain chain)
    {
        CheckThread();
        var now = Stopwatch.GetTimestamp();
        if (now - _takenAt > s_cheap) PublishReturned();
        _takenAt = now;
        // What is available at a stop stays available for the next start; inherited chains do not.
        if (IsStopping && !HasInherited) _budget = 0;
        while (_budget > 0 && Peek() == PopResult.Popped)
        {
            _budget--;
            var index = TakeNext(out var isMapped);
            if (isMapped)
            {
                chain = new VirtqueueChain(this, index, _slots[index]!.Use);
                return true;
            }
            Release(index, 0);
            _reports.Failed("a chain has a buffer outside the guest's memory, and is returned with nothing written");
        }
        chain = default;
        return false;
    }

    /// <summary>Returns a chain to the guest; in any order.</summary>
    /// <param name="chain">A chain that was taken from this queue and not returned yet.</param>
    /// <param name="written">Bytes written into its writable buffers, from their start.</param>
    /// <exception cref="InvalidOperationException">It is returned already, of another queue, or this call is made outside of Serve.</exception>
    /// <exception cref="ArgumentOutOfRangeException">It has no room for as many bytes; the chain is not returned.</exception>
    public void Return(VirtqueueChain chain, long written)
    {
        if (!chain.IsOf(this)) throw new InvalidOperationException($"the chain is not of queue {Index}: return it to the queue that gave it");
        var slot = Find(chain);
        ArgumentOutOfRangeException.ThrowIfNegative(written);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(written, Math.Min(slot.WritableBytes, uint.MaxValue));
        Release(chain.Slot, (uint)written);
    }

    /// <summary>Publishes the returned chains now, for a device that continues with something long.</summary>
    public void Publish()
    {
        if (_unpublished == 0) return;
        CheckThread();
        PublishReturned();
    }

    internal string? Fault => _ring.Fault;

    internal uint Position => _ring.Position;

    /// <summary>Whether in-flight chains of a previous back-end are still to be taken.</summary>
    internal bool HasInherited => _ring.HasPending || (_hasNext && _isInherited);

    /// <summary>Pops the next chain, unless one is popped and not taken.</summary>
    internal PopResult Peek()
    {
        if (_hasNext) return PopResult.Popped;
        // A driver that makes more chains available than the ring holds waits until some are returned.
        if (_freeCount == 0) return PopResult.Empty;
        _isInherited = _ring.HasPending;
        var result = _ring.TryPop(_next);
        _hasNext = result == PopResult.Popped;
        return result;
    }

    /// <summary>Starts a turn of the device, on the calling thread.</summary>
    internal void BeginTurn()
    {
        _turn++;
        _consumed = 0;
        _budget = MaxPerTurn;
        _thread = Environment.CurrentManagedThreadId;
    }

    /// <summary>Completes the turn, and publishes what was returned.</summary>
    /// <returns>Whether a chain was taken.</returns>
    internal bool EndTurn()
    {
        _thread = 0;
        PublishReturned();
        return _consumed > 0;
    }

    /// <summary>Returns what the device took in this turn with nothing written; or the next chain, if it took none.</summary>
    internal void FailTurn()
    {
        if (_consumed == 0 && _hasNext) TakeNext(out _);
        for (var i = 0; i < _slots.Length; i++)
        {
            if (_slots[i] is { IsTaken: true } slot && slot.Turn == _turn) Release(i, 0);
        }
    }

    /// <summary>Enables kicks.</summary>
    /// <returns>True when a chain is available.</returns>
    internal bool Arm() => _freeCount > 0 && _ring.Arm();

    internal void Disarm() => _ring.Disarm();

    /// <summary>Returns every popped chain: those that the device keeps, and inherited ones that it did not take, with nothing written.</summary>
    internal void Drain()
    {
        for (var i = 0; i < _slots.Length; i++)
        {
            if (_slots[i] is { IsTaken: true }) Release(i, 0);
        }
        // The next start takes it.
        if (_hasNext && _ring.TryUnpop(_next.Handle)) _hasNext = false;
        while (_hasNext || (HasInherited && Peek() == PopResult.Popped)) Release(TakeNext(out _), 0);
        PublishReturned();
    }

    /// <exception cref="InvalidOperationException">The chain is returned, or this is not the thread inside Serve.</exception>
    internal ChainSlot Find(VirtqueueChain chain)
    {
        CheckThread();
        if (_slots[chain.Slot] is { IsTaken: true } slot && slot.Use == chain.Use) return slot;
        throw new InvalidOperationException(
            $"a chain of queue {Index} is used after its return: a device returns it once, and the server returns what Serve left when it threw or the queue stopped");
    }

    private int TakeNext(out bool isMapped)
    {
        _hasNext = false;
        _consumed++;
        var index = _free[--_freeCount];
        isMapped = (_slots[index] ??= new ChainSlot()).TryTake(_next, _setup.Memory, _pieces, _turn);
        return index;
    }

    private void Release(int index, uint written)
    {
        var slot = _slots[index]!;
        _ring.Return(slot.Handle, written);
        slot.Release();
        _free[_freeCount++] = index;
        if (++_unpublished >= MaxBatch) PublishReturned();
    }

    private void PublishReturned()
    {
        if (_unpublished == 0) return;
        _unpublished = 0;
        if (_ring.Publish()) _call.Signal();
    }

    private void CheckThread()
    {
        if (_thread == Environment.CurrentManagedThreadId) return;
        throw new InvalidOperationException($"queue {Index} is used outside of Serve, or by another thread: keep the chain, call Wake, and use it when Serve is called");
    }
}
