using VmShunt.Ring.Interop;
using VmShunt.Ring.VhostUser;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Ring.VhostUser;

/// <summary>The front-end sends a message only where the feature that brings it was negotiated.</summary>
public sealed class FrontendMessagesTests : IDisposable
{
    private readonly TestMemory _ram = new(0x1_0000);
    private readonly EventFd _kick = EventFd.Create(), _call = EventFd.Create();

    public void Dispose()
    {
        _kick.Dispose();
        _call.Dispose();
        _ram.Dispose();
    }

    [Fact]
    public void Without_the_protocol_features_bit_it_sends_no_message_that_depends_on_it() => Assert.Equal(
        [
            VhostUserRequest.SetOwner, VhostUserRequest.GetFeatures, VhostUserRequest.SetFeatures,
            VhostUserRequest.SetMemTable,
            VhostUserRequest.SetVringNum, VhostUserRequest.SetVringBase, VhostUserRequest.SetVringAddr, VhostUserRequest.SetVringCall, VhostUserRequest.SetVringKick,
            VhostUserRequest.GetVringBase,
        ], Session(features: 1ul << 32));

    [Fact]
    public void Without_a_protocol_feature_it_sends_no_message_that_depends_on_it() => Assert.Equal(
        [
            VhostUserRequest.SetOwner, VhostUserRequest.GetFeatures,
            VhostUserRequest.GetProtocolFeatures, VhostUserRequest.SetProtocolFeatures, VhostUserRequest.SetFeatures,
            VhostUserRequest.SetMemTable,
            VhostUserRequest.SetVringNum, VhostUserRequest.SetVringBase, VhostUserRequest.SetVringAddr, VhostUserRequest.SetVringCall, VhostUserRequest.SetVringKick,
            VhostUserRequest.SetVringEnable,
            VhostUserRequest.GetVringBase,
        ], Session(features: 1ul << 32 | 1ul << 30));

    private List<VhostUserRequest> Session(ulong features)
    {
        var sent = new List<VhostUserRequest>();
        using (var backend = new ScriptedBackend((connection, header) =>
        {
            sent.Add(header.Request);
            Assert.Equal(VhostUserHeader.Version, header.Flags);
            if (header.Request is not (VhostUserRequest.GetFeatures or VhostUserRequest.GetProtocolFeatures)) return false;
            ScriptedBackend.Reply(connection, header.Request == VhostUserRequest.GetFeatures ? features : 0ul);
            return true;
        }))
        {
            using var frontend = backend.Open();
            Assert.Equal((1, VhostUserProtocolFeatures.None), (frontend.QueueCount, frontend.ProtocolFeatures));
            frontend.ShareMemory([(TestMemory.Start, 0x8000, 0), (TestMemory.Start + 0x8000, 0x8000, 0x8000)], _ram.File);
            Assert.False(frontend.TryReadConfig(new byte[8]));
            Assert.False(frontend.TryWriteConfig([1], 32));
            Assert.Null(frontend.OpenBackendRequests());
            frontend.StartRing(0, 16, 0, TestMemory.Start, TestMemory.Start, TestMemory.Start, _kick, _call);
            frontend.StopRing(0);
        }
        return sent;
    }
}
