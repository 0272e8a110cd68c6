using VmShunt.Ring.Memory;

namespace VmShunt.BlockDriver.Requests;

/// <summary>
/// A FIFO of requests, linked intrusively. One thread, or under the user's lock. It drops cancelled requests whenever it
/// has doubled, so they are at most about half of a list that is not being drained. Not to be copied.
/// </summary>
public struct BlockRequestList
{
    private const int SmallestSweep = 64;

    private BlockRequest? _first;
    private BlockRequest? _last;
    private int _count, _sweepAt;

    /// <summary>Any thread may ask; for a thread other than the owner the answer is a hint.</summary>
    public readonly bool IsEmpty => Ordered.Load(in _first) is null;

    /// <summary>Adds a request at the end.</summary>
    /// <param name="request">A request that is in no list.</param>
    public void Add(BlockRequest request)
    {
        if (_count >= Math.Max(_sweepAt, SmallestSweep)) DropCancelled();
        Append(request);
    }

    /// <summary>Removes the first request.</summary>
    /// <returns>Null: the list is empty.</returns>
    public BlockRequest? TakeFirst()
    {
        var first = _first;
        if (first is null) return null;
        _first = first.Next;
        if (_first is null) _last = null;
        _count--;
        first.Next = null;
        return first;
    }

    /// <summary>Adds a request at the start.</summary>
    /// <param name="request">A request that is in no list.</param>
    public void AddFirst(BlockRequest request)
    {
        request.Next = _first;
        _first = request;
        _last ??= request;
        _count++;
    }

    /// <summary>Reverses a chain of requests that are in no list.</summary>
    /// <param name="top">Its first request, or null.</param>
    /// <returns>The request that was the last.</returns>
    public static BlockRequest? Reverse(BlockRequest? top)
    {
        BlockRequest? reversed = null;
        while (top is not null)
        {
            var next = top.Next;
            top.Next = reversed;
            reversed = top;
            top = next;
        }
        return reversed;
    }

    private void Append(BlockRequest request)
    {
        request.Next = null;
        if (_last is null) _first = request;
        else _last.Next = request;
        _last = request;
        _count++;
    }

    private void DropCancelled()
    {
        var kept = default(BlockRequestList);
        while (TakeFirst() is { } request)
        {
            if (!request.TryDrop()) kept.Append(request);
        }
        kept._sweepAt = 2 * kept._count;
        this = kept;
    }
}
