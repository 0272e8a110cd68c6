using VmShunt.Ring.VhostUser;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Ring.VhostUser;

/// <summary>The front-end and the back-end over a real socket.</summary>
public sealed class FrontendAndBackendTests : IDisposable
{
    private const VirtioBlkFeatures Wanted = VirtioBlkFeatures.Version1 | VirtioBlkFeatures.EventIndex;

    private readonly TestMemory _ram = new(0x2_0000);
    private readonly ServedBackend _backend = new();

    public void Dispose()
    {
        _backend.Dispose();
        Assert.Equal(1, Descriptors.Of(_ram.File));
        _ram.Dispose();
    }

    [Fact]
    public void Both_ends_use_the_features_that_both_support()
    {
        VhostUserFrontend? opened = null;
        Assert.Null(Record.Exception(() => opened = Open(Wanted | VirtioBlkFeatures.Flush)));
        using var frontend = opened!;
        Assert.Equal((ulong)Wanted, frontend.Features);
        Assert.Equal(2, frontend.QueueCount);
        Assert.Equal(
            VhostUserProtocolFeatures.MultiQueue | VhostUserProtocolFeatures.ReplyAck | VhostUserProtocolFeatures.Config | VhostUserProtocolFeatures.ConfigureMemSlots
            | VhostUserProtocolFeatures.BackendRequests,
            frontend.ProtocolFeatures);
        Share(frontend);
        using var client = new EchoClient(_ram, 0);
        client.Start(frontend, 0);
        Assert.True(_backend.Device.Setups.TryPeek(out var setup));
        Assert.Equal((ulong)Wanted, setup.Features & ~(ulong)VirtioBlkFeatures.ProtocolFeatures);
        Assert.Equal((0, EchoClient.Size, (ushort)0), (setup.Index, setup.Size, setup.Position));
    }

    [Fact]
    public void A_back_end_without_a_required_feature_is_refused()
    {
        var refused = Assert.Throws<IOException>(() => VhostUserFrontend.Open(_backend.Socket, ulong.MaxValue, (ulong)(Wanted | VirtioBlkFeatures.Flush)));
        Assert.Contains("200", refused.Message, StringComparison.Ordinal);
        Assert.Null(_backend.WaitForEnd());
    }

    [Fact]
    public void The_configuration_space_is_read()
    {
        using var frontend = Open();
        var config = new byte[EchoDevice.ConfigBytes];
        Assert.True(frontend.TryReadConfig(config));
        Assert.Equal(_backend.Device.Config, config);
        Assert.True(frontend.TryReadConfig(config.AsSpan(0, 8)));
        Assert.True(frontend.TryReadConfig([]));
        Assert.False(frontend.TryReadConfig(new byte[EchoDevice.ConfigBytes + 1]));
        Assert.False(frontend.TryReadConfig(new byte[257]));
        Assert.True(frontend.TryReadConfig(config));
    }

    [Theory]
    [InlineData(VirtioBlkFeatures.Version1)]
    [InlineData(Wanted)]
    public void A_stopped_ring_continues_where_it_stopped(VirtioBlkFeatures wanted)
    {
        using var frontend = Open(wanted);
        Share(frontend);
        using var client = new EchoClient(_ram, 0, wanted == Wanted);
        uint position = 0;
        for (var round = 0; round < 5; round++)
        {
            client.Start(frontend, position);
            for (var i = 0; i < 20; i++) client.Echo($"round {round}, {i}");
            position = frontend.StopRing(0);
            Assert.Equal((uint)((round + 1) * 20), position);
            Assert.Equal(0, _backend.Device.Running);
        }
        // A request submitted to a stopped ring is served after the next start.
        client.Submit("waiting");
        client.Start(frontend, position);
        client.Complete("waiting");
    }

    [Fact]
    public void A_configuration_change_is_notified_and_never_blocks_the_back_end()
    {
        using var frontend = Open();
        using var requests = frontend.OpenBackendRequests();
        Assert.NotNull(requests);
        _backend.Backend.NotifyConfigChanged();
        Assert.True(requests.Receive());
        Assert.Equal((uint)VhostUserBackendRequest.ConfigChange, (uint)requests.Header.Request);
        Assert.Equal((VhostUserHeader.Version, 0u), (requests.Header.Flags, requests.Header.Size));
        // The channel is no longer read. The back-end is not blocked when it is full, or closed.
        for (var i = 0; i < 10_000; i++) _backend.Backend.NotifyConfigChanged();
        requests.Dispose();
        _backend.Backend.NotifyConfigChanged();
        Share(frontend);
    }

    [Fact]
    public void Two_rings_are_served_in_parallel()
    {
        using var frontend = Open();
        Share(frontend);
        using EchoClient first = new(_ram, 0), second = new(_ram, 1);
        first.Start(frontend, 0);
        second.Start(frontend, 0);
        for (var i = 0; i < 50; i++)
        {
            first.Submit($"first {i}");
            second.Echo($"second {i}");
            first.Complete($"first {i}");
        }
        Assert.Equal(50u, frontend.StopRing(1));
        first.Echo("the other ring is still served");
        Assert.Equal(51u, frontend.StopRing(0));
    }

    [Fact]
    public void A_running_ring_accesses_memory_that_is_added()
    {
        using var frontend = Open();
        frontend.ShareMemory([(TestMemory.Start, 0x9000, 0)], _ram.File);
        using var client = new EchoClient(_ram, 0);
        client.Start(frontend, 0);
        frontend.ShareMemory([(TestMemory.Start + 0x9000, 0x7000, 0x9000)], _ram.File);
        client.Echo("from one region to the other");
        Assert.Equal(2, _backend.Device.Setups.Count);
    }

    [Fact]
    public void Several_regions_of_one_file_are_shared()
    {
        using var frontend = Open();
        frontend.ShareMemory([(TestMemory.Start, 0x1000, 0), (TestMemory.Start + 0x1000, 0x8000, 0x1000), (TestMemory.Start + 0x9000, 0x1000, 0x9000)], _ram.File);
        using var client = new EchoClient(_ram, 0);
        client.Start(frontend, 0);
        client.Echo("hello");
    }

    [Fact]
    public void A_refusal_of_the_back_end_is_an_error_that_names_the_message()
    {
        using var frontend = Open();
        Refused("AddMemReg", () => frontend.ShareMemory([(TestMemory.Start, 0x2_0001, 0)], _ram.File));
        Share(frontend);
        Refused("AddMemReg", () => frontend.ShareMemory([(TestMemory.Start + 0x1000, 0x1000, 0)], _ram.File));
        using var client = new EchoClient(_ram, 0);
        Refused("SetVringNum", () => frontend.StartRing(2, 16, 0, client.Base, client.Base, client.Base, client.Kick, client.Call));
        Refused("SetVringNum", () => frontend.StartRing(0, 512, 0, client.Base, client.Base, client.Base, client.Kick, client.Call));
        Refused("SetVringNum", () => frontend.StartRing(0, 17, 0, client.Base, client.Base, client.Base, client.Kick, client.Call));
        Refused("SetVringAddr", () => frontend.StartRing(0, 16, 0, client.Base + 8, client.Base, client.Base, client.Kick, client.Call));
        Refused("SetVringEnable", () => frontend.StartRing(0, 16, 0, _ram.End, client.Base, client.Base, client.Kick, client.Call));
        Assert.Equal(7, _backend.Reports.Count);
        // A valid start still works.
        client.Start(frontend, 0);
        client.Echo("all is well");
    }

    [Fact]
    public void Close_returns_after_the_back_end_has_released_everything()
    {
        var frontend = Open();
        Share(frontend);
        using var client = new EchoClient(_ram, 0);
        client.Start(frontend, 0);
        client.Echo("hello");
        Assert.True(frontend.Close(60_000));
        // After the close, everything is released.
        Assert.Equal(0, _backend.Device.Running);
        Assert.Equal(1, Descriptors.Of(_ram.File));
        Assert.Equal(1, Descriptors.Of(client.Kick.Handle));
        Assert.Equal(1, Descriptors.Of(client.Call.Handle));
        Assert.Null(_backend.WaitForEnd());
    }

    private VhostUserFrontend Open(VirtioBlkFeatures wanted = Wanted) =>
        VhostUserFrontend.Open(_backend.Socket, (ulong)wanted, (ulong)VirtioBlkFeatures.Version1);

    private void Share(VhostUserFrontend frontend) => frontend.ShareMemory([(TestMemory.Start, (ulong)_ram.Bytes, 0)], _ram.File);

    private static void Refused(string request, Action action) =>
        Assert.Contains($"refused {request}", Assert.Throws<IOException>(action).Message, StringComparison.Ordinal);
}
