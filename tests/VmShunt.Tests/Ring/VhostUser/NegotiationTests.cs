using VmShunt.Ring.VhostUser;

namespace VmShunt.Tests.Ring.VhostUser;

/// <summary>What the back-end offers, and when it replies.</summary>
public sealed class NegotiationTests : SessionTests
{
    [Fact]
    public void Protocol_features_are_negotiated_before_SET_FEATURES()
    {
        Assert.NotEqual(0ul, Frontend.Query(VhostUserRequest.GetFeatures) & ProtocolFeatures);
        var offered = Frontend.Query(VhostUserRequest.GetProtocolFeatures);
        Assert.True(Frontend.Ask(VhostUserRequest.SetProtocolFeatures, offered & ~(ulong)VhostUserProtocolFeatures.Status));
        Assert.True(Frontend.Ask(VhostUserRequest.SetFeatures, Version1 | ProtocolFeatures));
        Assert.Equal(Version1, Backend.Device.Chosen);
        Serve();
    }

    [Fact]
    public void The_queue_count_is_offered_with_MQ()
    {
        Assert.NotEqual(0ul, Frontend.Query(VhostUserRequest.GetProtocolFeatures) & (ulong)VhostUserProtocolFeatures.MultiQueue);
        Assert.Equal((ulong)Backend.Device.QueueCount, Frontend.Query(VhostUserRequest.GetQueueNum));
    }

    [Fact]
    public void A_message_without_NEED_REPLY_gets_no_reply()
    {
        Frontend.Say(VhostUserRequest.SetOwner, []);
        Frontend.Say(VhostUserRequest.SetVringNum, new byte[8]);
        Frontend.Say((VhostUserRequest)99, []);
        // The next reply is to this one.
        Frontend.AssertAlive();
        Assert.Equal(2, Backend.Reports.Count);
    }

    [Fact]
    public void NEED_REPLY_changes_nothing_for_a_message_that_has_a_reply()
    {
        for (var i = 0; i < 2; i++)
        {
            Assert.Equal(8, Frontend.Query(VhostUserRequest.GetFeatures, [], VhostUserHeader.NeedReply).Length);
            Assert.Equal(8, Frontend.Query(VhostUserRequest.GetVringBase, new byte[8], VhostUserHeader.NeedReply).Length);
        }
        Frontend.AssertAlive();
    }
}
