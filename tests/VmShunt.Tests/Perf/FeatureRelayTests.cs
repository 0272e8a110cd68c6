using VmShunt.Perf.Lifecycle.Rigs;
using VmShunt.Ring.Interop;
using VmShunt.Ring.VhostUser;

namespace VmShunt.Tests.Perf;

public sealed class FeatureRelayTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("relay-").FullName;

    private string Front => Path.Combine(_folder, "front");

    private string Back => Path.Combine(_folder, "back");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void A_relay_removes_features_from_the_offer_and_passes_everything_else_with_its_descriptors()
    {
        using var listener = UnixListener.Bind(Back);
        using var relay = new FeatureRelay(Front, Back, VhostUserProtocolFeatures.InflightSharedMemory);
        using var back = new VhostUserConnection(listener.Accept());
        using var front = new VhostUserConnection(UnixConnection.ConnectWithRetry(Front, TimeSpan.FromSeconds(10)));

        back.Send(VhostUserRequest.GetProtocolFeatures, VhostUserHeader.Reply, (ulong)(VhostUserProtocolFeatures.InflightSharedMemory | VhostUserProtocolFeatures.Status));
        Assert.True(front.Receive());
        Assert.Equal((ulong)VhostUserProtocolFeatures.Status, front.PayloadAs<ulong>());

        // The same number in another message is no offer.
        back.Send(VhostUserRequest.GetFeatures, VhostUserHeader.Reply, ulong.MaxValue);
        Assert.True(front.Receive());
        Assert.Equal(ulong.MaxValue, front.PayloadAs<ulong>());

        using var kick = EventFd.Create();
        front.Send(VhostUserRequest.SetVringKick, VhostUserHeader.NeedReply, 3UL, [kick.Handle]);
        Assert.True(back.Receive());
        Assert.Equal((VhostUserRequest.SetVringKick, VhostUserHeader.NeedReply, 1), (back.Header.Request, back.Header.Flags & ~VhostUserHeader.VersionMask, back.DescriptorCount));
        Assert.True(EventFd.TryFromPeer(back.TakeDescriptor()!, out var passed));
        passed!.Signal();
        passed.Dispose();
        using var set = new WaitSet(kick.Handle);
        Assert.True(set.Wait(0));
    }

    [Fact]
    public void A_relay_listens_only_while_the_back_end_accepts_connections_and_passes_the_end_of_each()
    {
        using var relay = new FeatureRelay(Front, Back, VhostUserProtocolFeatures.Status);
        for (var round = 0; round < 2; round++)
        {
            using (var listener = UnixListener.Bind(Back))
            {
                using var back = listener.Accept();
                using var front = UnixConnection.ConnectWithRetry(Front, TimeSpan.FromSeconds(10));
                back.Shutdown();
                Assert.Equal(0, front.Receive(new byte[1]));
            }
            // It has closed its socket before it tries the next connection.
            Assert.True(SpinWait.SpinUntil(() => !File.Exists(Front), TimeSpan.FromSeconds(10)));
        }
    }
}
