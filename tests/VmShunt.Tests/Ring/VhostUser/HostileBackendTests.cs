using VmShunt.Ring.Interop;
using VmShunt.Ring.VhostUser;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Ring.VhostUser;

/// <summary>Replies that no correct back-end sends, and what the front-end does with them.</summary>
public class HostileBackendTests
{
    [Theory]
    [InlineData(VhostUserRequest.SetOwner)]
    [InlineData(VhostUserRequest.GetFeatures)]
    [InlineData(VhostUserRequest.GetProtocolFeatures)]
    [InlineData(VhostUserRequest.SetFeatures)]
    [InlineData(VhostUserRequest.GetQueueNum)]
    public void A_back_end_that_closes_during_negotiation_is_an_error(VhostUserRequest at)
    {
        using var backend = new ScriptedBackend((_, header) => header.Request == at ? throw new IOException() : false);
        Assert.Throws<IOException>(() => backend.Open().Dispose());
    }

    [Theory]
    [InlineData(VhostUserRequest.GetFeatures, 0)]
    [InlineData(VhostUserRequest.GetFeatures, 4)]
    [InlineData(VhostUserRequest.GetFeatures, 4096)]
    [InlineData(VhostUserRequest.GetProtocolFeatures, 12)]
    [InlineData(VhostUserRequest.SetFeatures, 0)]
    [InlineData(VhostUserRequest.GetQueueNum, 7)]
    public void A_reply_of_the_wrong_size_ends_the_session(VhostUserRequest at, int size)
    {
        using var backend = new ScriptedBackend((connection, header) =>
        {
            if (header.Request != at) return false;
            connection.Send(at, VhostUserHeader.Reply, new byte[size]);
            return true;
        });
        var end = Assert.Throws<VhostUserException>(() => backend.Open().Dispose());
        Assert.Contains($"{size} bytes", end.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(VhostUserRequest.GetFeatures, VhostUserRequest.GetQueueNum, 4u)]
    [InlineData(VhostUserRequest.GetFeatures, VhostUserRequest.GetFeatures, 0u)]
    [InlineData(VhostUserRequest.SetFeatures, VhostUserRequest.SetOwner, 4u)]
    [InlineData(VhostUserRequest.SetFeatures, (VhostUserRequest)uint.MaxValue, 4u)]
    [InlineData(VhostUserRequest.SetFeatures, VhostUserRequest.SetFeatures, 7u)]
    public void A_reply_to_another_request_ends_the_session(VhostUserRequest at, VhostUserRequest with, uint flags)
    {
        using var backend = new ScriptedBackend((connection, header) =>
        {
            if (header.Request != at) return false;
            connection.Send(with, flags, new byte[8]);
            return true;
        });
        Assert.Throws<VhostUserException>(() => backend.Open().Dispose());
    }

    [Theory]
    [InlineData("00000000")]
    [InlineData("010000000500000001")]
    [InlineData("010000000500000008000000")]
    [InlineData("010000000500000008000000ffff")]
    [InlineData("010000000500000001100000")]
    [InlineData("0100000005000000ffffffff")]
    public void A_truncated_or_oversized_reply_ends_the_session(string hex)
    {
        using var backend = new ScriptedBackend((connection, header) =>
        {
            if (header.Request != VhostUserRequest.GetFeatures) return false;
            connection.Socket.Send(Convert.FromHexString(hex));
            throw new IOException();
        });
        Assert.ThrowsAny<IOException>(() => backend.Open().Dispose());
    }

    [Theory]
    [InlineData(0ul, 1)]
    [InlineData(1ul, 1)]
    [InlineData(256ul, 256)]
    [InlineData(257ul, 256)]
    [InlineData(ulong.MaxValue, 256)]
    public void The_queue_count_is_clamped_to_what_the_protocol_can_address(ulong reported, int expected)
    {
        using var backend = new ScriptedBackend((connection, header) =>
        {
            if (header.Request != VhostUserRequest.GetQueueNum) return false;
            ScriptedBackend.Reply(connection, reported);
            return true;
        });
        using var frontend = backend.Open();
        Assert.Equal(expected, frontend.QueueCount);
    }

    [Fact]
    public void Features_that_the_driver_does_not_want_are_not_used()
    {
        using var backend = new ScriptedBackend((connection, header) =>
        {
            if (header.Request != VhostUserRequest.GetFeatures) return false;
            ScriptedBackend.Reply(connection, ulong.MaxValue);
            return true;
        });
        using var frontend = VhostUserFrontend.Open(backend.Socket, 1ul << 32, 1ul << 32);
        Assert.Equal(1ul << 32, frontend.Features);
        Assert.Equal(
            VhostUserProtocolFeatures.MultiQueue | VhostUserProtocolFeatures.ReplyAck | VhostUserProtocolFeatures.Config | VhostUserProtocolFeatures.ConfigureMemSlots
            | VhostUserProtocolFeatures.BackendRequests,
            frontend.ProtocolFeatures);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(11)]
    [InlineData(12)]
    [InlineData(71)]
    [InlineData(73)]
    [InlineData(4096)]
    public void A_configuration_reply_of_another_length_is_refused(int bytes)
    {
        using var backend = new ScriptedBackend((connection, header) =>
        {
            if (header.Request != VhostUserRequest.GetConfig) return false;
            connection.Send(header.Request, VhostUserHeader.Reply, new byte[bytes]);
            return true;
        });
        using var frontend = backend.Open();
        Assert.False(frontend.TryReadConfig(new byte[60]));
    }

    [Theory]
    [InlineData(0u, 65_536u)]
    [InlineData(0u, uint.MaxValue)]
    [InlineData(1u, 0u)]
    public void An_invalid_ring_base_in_a_reply_ends_the_session(uint index, uint value)
    {
        using var backend = new ScriptedBackend((connection, header) =>
        {
            if (header.Request != VhostUserRequest.GetVringBase) return false;
            ScriptedBackend.Reply(connection, new VringState { Index = index, Value = value });
            return true;
        });
        using var frontend = backend.Open();
        Assert.Throws<VhostUserException>(() => frontend.StopRing(0));
    }

    [Fact]
    public void Descriptors_in_replies_are_closed()
    {
        using var eventFd = EventFd.Create();
        using var backend = new ScriptedBackend((connection, header) =>
        {
            if (header.Request != VhostUserRequest.GetConfig) return false;
            connection.Send(header.Request, VhostUserHeader.Reply, connection.Payload, [eventFd.Handle, eventFd.Handle]);
            return true;
        });
        using (var frontend = backend.Open())
        {
            for (var i = 0; i < 100; i++) Assert.True(frontend.TryReadConfig(new byte[8]));
            Assert.InRange(Descriptors.Of(eventFd.Handle), 1, 3);
        }
        Assert.Equal(1, Descriptors.Of(eventFd.Handle));
    }

    [Fact]
    public void A_late_reply_is_not_taken_for_a_close()
    {
        using var go = new ManualResetEventSlim();
        using var backend = new ScriptedBackend((connection, header) =>
        {
            if (header.Request != VhostUserRequest.GetConfig) return false;
            connection.Send(header.Request, VhostUserHeader.Reply, connection.Payload);
            // An unexpected reply; then the session is held open.
            connection.Send(header.Request, VhostUserHeader.Reply, new byte[4000]);
            go.Wait(60_000);
            return true;
        });
        var frontend = backend.Open();
        Assert.True(frontend.TryReadConfig(new byte[8]));
        try
        {
            Assert.False(frontend.Close(50));
        }
        finally
        {
            go.Set();
        }
    }
}
