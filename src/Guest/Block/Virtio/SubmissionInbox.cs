using VmShunt.BlockDriver.Requests;

namespace VmShunt.BlockDriver.Virtio;

/// <summary>
/// How other threads hand requests to the thread that owns a queue: a lock-free stack that the owner takes whole and
/// reverses, so requests stay in the order in which they came. Once closed it takes nothing more.
/// </summary>
internal sealed class SubmissionInbox
{
    private static readonly BlockRequest s_closed = new();

    private BlockRequest? _top;

    /// <summary>Whether the owner would find something.</summary>
    internal bool HasMore => _top is not null;

    /// <summary>Any thread. A full barrier.</summary>
    /// <returns>False when the inbox is closed: the request is still the caller's.</returns>
    internal bool TryPush(BlockRequest request) => TryPush(request, request);

    /// <summary>Any thread. A full barrier. Pushes requests that are linked from the newest to the oldest, as one.</summary>
    /// <returns>False when the inbox is closed: the requests are still the caller's.</returns>
    internal bool TryPush(BlockRequest newest, BlockRequest oldest)
    {
        var top = _top;
        while (true)
        {
            if (ReferenceEquals(top, s_closed))
            {
                oldest.Next = null;
                return false;
            }
            oldest.Next = top;
            var seen = Interlocked.CompareExchange(ref _top, newest, top);
            if (ReferenceEquals(seen, top)) return true;
            top = seen;
        }
    }

    /// <summary>The owner's thread: takes everything, oldest first.</summary>
    internal BlockRequest? TakeAll() => _top is null ? null : BlockRequestList.Reverse(Interlocked.Exchange(ref _top, null));

    /// <summary>The owner's thread: takes everything and refuses what comes later.</summary>
    internal BlockRequest? Close()
    {
        var rest = Interlocked.Exchange(ref _top, s_closed);
        return ReferenceEquals(rest, s_closed) ? null : BlockRequestList.Reverse(rest);
    }
}
