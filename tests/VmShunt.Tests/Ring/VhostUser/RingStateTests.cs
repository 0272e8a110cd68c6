using VmShunt.Ring.Interop;
using VmShunt.Ring.VhostUser;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Ring.VhostUser;

/// <summary>When a ring is started, enabled, disabled, stopped and reset (vhost-user, "Ring states").</summary>
public sealed class RingStateTests : SessionTests
{
    [Fact]
    public void A_ring_is_served_only_while_it_is_enabled()
    {
        Serve();
        Assert.True(Frontend.AskRing(VhostUserRequest.SetVringEnable, 0, 0));
        Assert.Equal(0, Backend.Device.Running);
        Assert.True(Frontend.AskRing(VhostUserRequest.SetVringEnable, 0, 0));
        // A set-up that is complete again does not start a disabled ring either.
        Assert.True(Frontend.Ask(VhostUserRequest.SetVringKick, 0ul, Client.Kick.Handle));
        Assert.Equal(0, Backend.Device.Running);
        Client.Submit("waits");
        Assert.True(Frontend.AskRing(VhostUserRequest.SetVringEnable, 0, 1));
        Client.Complete("waits");
        Assert.True(Frontend.AskRing(VhostUserRequest.SetVringEnable, 0, 1));
        Client.Echo("still served");
        Assert.Equal(2u, Frontend.GetVringBase(0).Value - 1);
        Assert.Equal(0, Backend.Device.Running);
    }

    [Fact]
    public void Without_the_protocol_features_bit_the_kick_descriptor_starts_a_ring()
    {
        Assert.True(Frontend.Ask(VhostUserRequest.SetFeatures, Version1));
        Assert.True(Frontend.Ask(VhostUserRequest.SetMemTable, RawFrontend.Table(1, Region(0, 0x2_0000)), Ram.File));
        Assert.True(Frontend.AskRing(VhostUserRequest.SetVringNum, 0, 16));
        Assert.True(Frontend.Ask(VhostUserRequest.SetVringAddr, Client.Address));
        Assert.True(Frontend.Ask(VhostUserRequest.SetVringCall, 0ul, Client.Call.Handle));
        Assert.Equal(0, Backend.Device.Running);
        Assert.True(Frontend.Ask(VhostUserRequest.SetVringKick, 0ul, Client.Kick.Handle));
        Client.Echo("hello");
    }

    [Fact]
    public void The_stop_of_a_ring_that_never_ran_returns_its_base()
    {
        Assert.Equal(0u, Frontend.GetVringBase(1).Value);
        Assert.True(Frontend.AskRing(VhostUserRequest.SetVringBase, 1, 65_535));
        Assert.Equal((1u, 65_535u), (Frontend.GetVringBase(1).Index, Frontend.GetVringBase(1).Value));
    }

    [Theory]
    [InlineData(VhostUserRequest.ResetDevice)]
    [InlineData(VhostUserRequest.ResetOwner)]
    [InlineData(VhostUserRequest.SetStatus)]
    public void A_reset_stops_every_ring_and_clears_its_base(VhostUserRequest request)
    {
        Serve();
        Assert.True(Frontend.Ask(VhostUserRequest.SetStatus, 0xful));
        Assert.Equal(0xful, Frontend.Query(VhostUserRequest.GetStatus));
        Assert.True(request == VhostUserRequest.SetStatus ? Frontend.Ask(request, 0ul) : Frontend.Ask(request, []));
        Assert.Equal(0, Backend.Device.Running);
        Assert.Equal(0ul, Frontend.Query(VhostUserRequest.GetStatus));
        // A status of 0 may only be the first message of a stop, as in QEMU 7.2: the next start is at 0, or where this says.
        Assert.Equal(request == VhostUserRequest.SetStatus ? 1u : 0u, Frontend.GetVringBase(0).Value);
        Assert.Equal(1, Descriptors.Of(Client.Kick.Handle));
        Assert.Equal(1, Descriptors.Of(Client.Call.Handle));
    }

    [Fact]
    public void A_broken_ring_signals_its_error_eventfd_and_works_after_a_restart()
    {
        using var error = EventFd.Create();
        using var wait = new WaitSet(error.Handle);
        Serve();
        Assert.True(Frontend.Ask(VhostUserRequest.SetVringErr, 0ul, error.Handle));
        var available = Ram.Window(Client.Address.Available, 4);
        var index = available.Read<ushort>(2);
        available.WriteUInt16Release(2, (ushort)(index + 100));
        Client.Kick.Signal();
        Assert.True(wait.Wait(60_000));
        var position = Frontend.GetVringBase(0).Value;
        Assert.Equal(index, position);
        available.WriteUInt16Release(2, index);
        Assert.True(Frontend.AskRing(VhostUserRequest.SetVringBase, 0, position));
        Assert.True(Frontend.Ask(VhostUserRequest.SetVringCall, 0ul, Client.Call.Handle));
        Assert.True(Frontend.Ask(VhostUserRequest.SetVringKick, 0ul, Client.Kick.Handle));
        Client.Echo("restarted");
    }

    [Fact]
    public void A_ring_starts_stopped_and_disabled()
    {
        Configure();
        Assert.Equal(0, Backend.Device.Running);
        Assert.True(Frontend.Ask(VhostUserRequest.SetVringKick, 0ul, Client.Kick.Handle));
        Assert.Equal(0, Backend.Device.Running);
        Assert.True(Frontend.AskRing(VhostUserRequest.SetVringEnable, 0, 1));
        Assert.Equal(1, Backend.Device.Running);
    }

    [Fact]
    public void A_running_ring_uses_the_kick_and_call_eventfds_that_replace_its_own()
    {
        Serve();
        using EventFd kick = EventFd.Create(), call = EventFd.Create();
        using var called = new WaitSet(call.Handle);
        Assert.True(Frontend.Ask(VhostUserRequest.SetVringCall, 0ul, call.Handle));
        Client.Submit("called elsewhere");
        Assert.True(called.Wait(60_000));
        Assert.True(Frontend.Ask(VhostUserRequest.SetVringCall, 0ul, Client.Call.Handle));
        Client.Complete("called elsewhere");
        Assert.True(Frontend.Ask(VhostUserRequest.SetVringKick, 0ul, kick.Handle));
        Client.Submit("kicked elsewhere");
        kick.Signal();
        Client.Complete("kicked elsewhere");
    }

    [Fact]
    public void A_ring_is_stopped_only_after_its_popped_chains_are_returned()
    {
        using var processing = new ManualResetEventSlim();
        using var popped = new ManualResetEventSlim();
        Serve();
        Backend.Device.Processing = () =>
        {
            popped.Set();
            processing.Wait(60_000);
        };
        Client.Submit("in flight");
        Assert.True(popped.Wait(60_000));
        Frontend.Say(VhostUserRequest.GetVringBase, new byte[8]);
        var waits = SpinWait.SpinUntil(() => Backend.IsWaiting, 10_000);
        processing.Set();
        Assert.True(waits, "the session does not wait for the chain");
        Frontend.AssertReply(VhostUserRequest.GetVringBase);
        Assert.Equal(2, Ram.Window(Client.Address.Used, 4).Read<ushort>(2));
        Client.Complete("in flight");
    }

    [Fact]
    public void With_STATUS_a_ring_is_served_only_after_DRIVER_OK()
    {
        const ulong acknowledge = 1, driver = 2, driverOk = 4, featuresOk = 8;
        Assert.True(Frontend.Ask(VhostUserRequest.SetProtocolFeatures, (ulong)VhostUserProtocolFeatures.Status));
        Configure();
        Assert.True(Frontend.Ask(VhostUserRequest.SetVringKick, 0ul, Client.Kick.Handle));
        Assert.True(Frontend.AskRing(VhostUserRequest.SetVringEnable, 0, 1));
        Assert.True(Frontend.Ask(VhostUserRequest.SetStatus, acknowledge | driver | featuresOk));
        Assert.Equal(acknowledge | driver | featuresOk, Frontend.Query(VhostUserRequest.GetStatus));
        Assert.Equal(0, Backend.Device.Running);
        Assert.True(Frontend.Ask(VhostUserRequest.SetStatus, acknowledge | driver | featuresOk | driverOk));
        Client.Echo("hello");
    }

    /// <summary>A back-end that died between the publish and the call: its completions were never called, nor any later ones.</summary>
    [Fact]
    public void A_ring_calls_its_driver_once_when_it_starts()
    {
        using var called = new WaitSet(Client.Call.Handle);
        Configure();
        Client.Call.TryDrain();
        Assert.True(Frontend.Ask(VhostUserRequest.SetVringKick, 0ul, Client.Kick.Handle));
        Assert.False(Client.Call.TryDrain());
        Assert.True(Frontend.AskRing(VhostUserRequest.SetVringEnable, 0, 1));
        Assert.True(called.Wait(60_000));
        Assert.True(Client.Call.TryDrain());
        // It is running already.
        Assert.True(Frontend.AskRing(VhostUserRequest.SetVringEnable, 0, 1));
        Assert.False(Client.Call.TryDrain());
    }

    [Fact]
    public void A_completion_that_no_call_announced_is_announced_by_the_next_call_eventfd()
    {
        Serve();
        Assert.True(Frontend.Ask(VhostUserRequest.SetVringCall, VringDescriptorWord.NoDescriptor));
        Client.Submit("no call");
        Assert.True(SpinWait.SpinUntil(() => Ram.Window(Client.Address.Used, 4).ReadUInt16Acquire(2) == 2, 60_000));
        Assert.True(Frontend.AskRing(VhostUserRequest.SetVringEnable, 0, 0));
        Client.Call.TryDrain();
        Assert.True(Frontend.Ask(VhostUserRequest.SetVringCall, 0ul, Client.Call.Handle));
        Assert.True(Client.Call.TryDrain());
        Client.Complete("no call");
    }

    [Fact]
    public void A_ring_of_a_size_that_is_refused_is_reported_once_signalled_and_not_served_at_an_earlier_size()
    {
        using var error = EventFd.Create();
        Serve();
        Assert.True(Frontend.Ask(VhostUserRequest.SetVringErr, 0ul, error.Handle));
        for (var start = 0; start < 3; start++)
        {
            var position = Frontend.GetVringBase(0).Value;
            Assert.False(error.TryDrain());
            Assert.False(Frontend.AskRing(VhostUserRequest.SetVringNum, 0, 512));
            Assert.True(error.TryDrain());
            Assert.True(Frontend.AskRing(VhostUserRequest.SetVringBase, 0, position));
            Assert.True(Frontend.Ask(VhostUserRequest.SetVringKick, 0ul, Client.Kick.Handle));
            Assert.Equal(0, Backend.Device.Running);
        }
        Assert.Equal(
            "SetVringNum refused: ring 0 of 512 entries is not served, because at most 256 are allowed: raise the device's largest queue size, or give the guest's device smaller rings (QEMU: queue-size=256)",
            Assert.Single(Backend.Reports, static line => line.StartsWith("SetVringNum", StringComparison.Ordinal)));
        Assert.True(Frontend.AskRing(VhostUserRequest.SetVringNum, 0, EchoClient.Size));
        Assert.True(Frontend.Ask(VhostUserRequest.SetVringCall, 0ul, Client.Call.Handle));
        Assert.True(Frontend.Ask(VhostUserRequest.SetVringKick, 0ul, Client.Kick.Handle));
        Client.Echo("served");
    }
}
