using VmShunt.BlockDriver.Requests;
using VmShunt.Ring.Memory;

namespace VmShunt.BlockDriver.Virtio;

/// <summary>
/// A lock-free stack through which other threads submit requests to the thread that owns a queue. The owner takes the
/// whole stack and reverses it, which keeps the submission order. Once closed it accepts nothing.
/// </summary>
internal sealed class SubmissionInbox
{
    private static readonly BlockRequest s_closed = new ClosedMark();

    private BlockRequest? _top;

    internal bool HasMore => Ordered.Load(ref _top) is not null;

    /// <summary>Any thread. A full barrier.</summary>
    /// <returns>False: the inbox is closed, and the request is still the caller's.</returns>
    internal bool TryPush(BlockRequest request) => TryPush(request, request);

    /// <summary>Any thread. A full barrier. Pushes a chain that is linked from the newest to the oldest.</summary>
    /// <returns>False: the inbox is closed, and the requests are still the caller's.</returns>
    internal bool TryPush(BlockRequest newest, BlockRequest oldest)
    {
        var top = Ordered.Load(ref _top);
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

    /// <summary>Owner only. Takes everything, oldest first. The load avoids an exchange on an empty inbox.</summary>
    internal BlockRequest? TakeAll() => Ordered.Load(ref _top) is null ? null : BlockRequestList.Reverse(Interlocked.Exchange(ref _top, null));

    /// <summary>Owner only. Takes everything and rejects later pushes.</summary>
    internal BlockRequest? Close()
    {
        var rest = Interlocked.Exchange(ref _top, s_closed);
        return ReferenceEquals(rest, s_closed) ? null : BlockRequestList.Reverse(rest);
    }

    private sealed class ClosedMark : BlockRequest
    {
        protected override void End(BlockStatus status)
        {
        }
    }
}
