using VmShunt.BlockDriver.Requests;
using VmShunt.BlockDriver.Virtio;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Guest.Block.Virtio;

public class SubmissionInboxTests
{
    [Fact]
    public void Requests_are_taken_in_the_order_of_their_submission()
    {
        var inbox = new SubmissionInbox();
        var requests = Enumerable.Range(0, 100).Select(_ => new SilentRequest()).ToArray();
        foreach (var request in requests) Assert.True(inbox.TryPush(request));
        Assert.True(inbox.HasMore);
        Assert.Equal(requests, Chain(inbox.TakeAll()));
        Assert.False(inbox.HasMore);
        Assert.Null(inbox.TakeAll());
    }

    [Fact]
    public void Closing_the_inbox_returns_its_requests_and_rejects_later_ones()
    {
        var inbox = new SubmissionInbox();
        var request = new SilentRequest();
        inbox.TryPush(request);
        Assert.Equal([request], Chain(inbox.Close()));
        Assert.False(inbox.TryPush(new SilentRequest()));
        Assert.Null(inbox.Close());
    }

    [Fact]
    public async Task No_request_is_lost_or_duplicated_when_the_inbox_closes_while_threads_push()
    {
        const int Threads = 4, Each = 20_000;
        var inbox = new SubmissionInbox();
        var refused = 0;
        var taken = new HashSet<BlockRequest>();
        var pushers = Enumerable.Range(0, Threads).Select(_ => Task.Run(() =>
        {
            for (var i = 0; i < Each; i++)
            {
                if (!inbox.TryPush(new SilentRequest())) Interlocked.Increment(ref refused);
            }
        })).ToArray();
        while (taken.Count < Threads * Each / 2)
        {
            foreach (var request in Chain(inbox.TakeAll())) Assert.True(taken.Add(request));
        }
        foreach (var request in Chain(inbox.Close())) Assert.True(taken.Add(request));
        await Task.WhenAll(pushers);
        Assert.Equal(Threads * Each, taken.Count + refused);
    }

    private static List<BlockRequest> Chain(BlockRequest? first)
    {
        var list = new List<BlockRequest>();
        for (; first is not null; first = first.Next) list.Add(first);
        return list;
    }
}
