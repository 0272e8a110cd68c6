namespace VmShunt.Guest.Block;

/// <summary>A first-in, first-out list of requests, linked through themselves. One thread, or under its user's lock.</summary>
internal struct BlockRequestList
{
    private BlockRequest? _first;
    private BlockRequest? _last;

    internal readonly bool IsEmpty => _first is null;

    internal void Add(BlockRequest request)
    {
        request.Next = null;
        if (_last is null) _first = request;
        else _last.Next = request;
        _last = request;
    }

    internal BlockRequest? TakeFirst()
    {
        var first = _first;
        if (first is null) return null;
        _first = first.Next;
        if (_first is null) _last = null;
        first.Next = null;
        return first;
    }

    internal void AddFirst(BlockRequest request)
    {
        request.Next = _first;
        _first = request;
        _last ??= request;
    }
}
