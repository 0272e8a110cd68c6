using VmShunt.Ring.Interop;
using VmShunt.Ring.VhostUser;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Ring.VhostUser;

/// <summary>What a back-end may answer, and what the front-end makes of it.</summary>
public class HostileBackendTests
{
    [Theory]
    [InlineData(VhostUserRequest.SetOwner)]
    [InlineData(VhostUserRequest.GetFeatures)]
    [InlineData(VhostUserRequest.GetProtocolFeatures)]
    [InlineData(VhostUserRequest.SetFeatures)]
    [InlineData(VhostUserRequest.GetQueueNum)]
    public void One_that_closes_is_an_error_that_says_so(VhostUserRequest at)
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
    public void An_answer_of_the_wrong_size_ends_the_session(VhostUserRequest at, int size)
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
    public void An_answer_to_something_else_ends_the_session(VhostUserRequest at, VhostUserRequest with, uint flags)
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
    public void An_answer_that_breaks_off_or_is_too_long_ends_the_session(string hex)
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
    public void The_number_of_queues_stays_within_what_the_protocol_can_name(ulong says, int taken)
    {
        using var backend = new ScriptedBackend((connection, header) =>
        {
            if (header.Request != VhostUserRequest.GetQueueNum) return false;
            ScriptedBackend.Reply(connection, says);
            return true;
        });
        using var frontend = backend.Open();
        Assert.Equal(taken, frontend.QueueCount);
    }

    [Fact]
    public void Features_that_nobody_asked_for_are_not_used()
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
    public void A_configuration_of_another_length_is_none(int bytes)
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
    public void A_ring_base_that_cannot_be_ends_the_session(uint index, uint value)
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
    public void Descriptors_that_come_with_answers_are_let_go()
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
    public void One_that_talks_has_not_closed()
    {
        using var go = new ManualResetEventSlim();
        using var backend = new ScriptedBackend((connection, header) =>
        {
            if (header.Request != VhostUserRequest.GetConfig) return false;
            connection.Send(header.Request, VhostUserHeader.Reply, connection.Payload);
            // An answer that nobody asked for, and then the session is held open.
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
