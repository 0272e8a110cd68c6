using System.Runtime.InteropServices;
using System.Text;
using VmShunt.Ring.Files;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;
using VmShunt.Trap;
using VmShunt.Trap.VfioUser;

namespace VmShunt.Tests.Trap.VfioUser;

public sealed class HostileClientTests : IDisposable
{
    private readonly ServedDevices _served = new();

    public void Dispose()
    {
        // Whatever the client did, the server serves the next one.
        using (var client = VfioUserClient.Connect(_served.Path)) Assert.True(client.GetInfo().IsPci);
        Eventually.True(() => _served.SessionCount == 0, "every session is closed");
        _served.Dispose();
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(15u)]
    [InlineData(65_569u)]
    [InlineData(uint.MaxValue)]
    public void An_invalid_message_size_closes_the_connection(uint size)
    {
        using var client = Agreed();
        client.Send(new VfioUserHeader { Command = VfioUserCommand.DeviceGetInfo, Size = size });
        Assert.False(client.Receive(out VfioUserHeader _));
    }

    [Fact]
    public void An_unsolicited_reply_closes_the_connection()
    {
        using var client = Agreed();
        client.Send(new VfioUserHeader { Command = VfioUserCommand.DmaRead, Size = 16, Flags = VfioUserFlags.Reply });
        Assert.False(client.Receive(out VfioUserHeader _));
    }

    [Fact]
    public void A_second_VERSION_or_a_missing_one_closes_the_connection()
    {
        using (var client = Agreed())
        {
            client.Send(Message(VfioUserCommand.Version, new byte[4]));
            Assert.False(client.Receive(out VfioUserHeader _));
        }
        using (var client = new FramedConnection(UnixConnection.Connect(_served.Path)))
        {
            client.Send(Message(VfioUserCommand.DeviceGetInfo, new byte[16]));
            Assert.False(client.Receive(out VfioUserHeader _));
        }
    }

    [Theory]
    [InlineData("\u0001\0\0\0")]
    [InlineData("\0\0\0")]
    [InlineData("\0\0\u0001\0{}")]
    [InlineData("\0\0\u0001\0{\0")]
    [InlineData("\0\0\u0001\0[]\0")]
    [InlineData("\0\0\u0001\0{\"capabilities\":7}\0")]
    [InlineData("\0\0\u0001\0{\"\\ud800capabilities\":1}\0")]
    [InlineData("\0\0\u0001\0{\"capabilities\":{\"max_data_xfer_size\":\"x\"}}\0")]
    public void A_malformed_VERSION_is_refused(string payload)
    {
        using var client = new FramedConnection(UnixConnection.Connect(_served.Path));
        client.Send(Message(VfioUserCommand.Version, Encoding.UTF8.GetBytes(payload)));
        Assert.True(client.Receive(out VfioUserHeader reply));
        Assert.Equal(VfioUserFlags.Reply | VfioUserFlags.Error, reply.Flags);
        Assert.False(client.Receive(out reply));
    }

    [Theory]
    [InlineData(0, 0)]
    [InlineData(6, 0)]
    [InlineData(11, 32)]
    [InlineData(15, 100)]
    [InlineData(16, 8)]
    [InlineData(0xffff, 3)]
    [InlineData(2, 0)]
    [InlineData(2, 31)]
    [InlineData(3, 23)]
    [InlineData(4, 15)]
    [InlineData(5, 31)]
    [InlineData(7, 15)]
    [InlineData(8, 19)]
    [InlineData(9, 15)]
    [InlineData(9, 17)]
    [InlineData(10, 15)]
    public void An_unknown_or_truncated_command_gets_an_error_reply_and_the_connection_stays_open(int command, int payloadBytes)
    {
        using var client = Agreed();
        client.Send(Message((VfioUserCommand)command, new byte[payloadBytes], id: 77));
        Assert.True(client.Receive(out VfioUserHeader reply));
        Assert.Equal(77, reply.Id);
        Assert.Equal((VfioUserCommand)command, reply.Command);
        Assert.Equal(16u, reply.Size);
        Assert.Equal(VfioUserFlags.Reply | VfioUserFlags.Error, reply.Flags);
        Assert.NotEqual(0u, reply.Error);
        Ask(client);
    }

    [Fact]
    public void An_access_of_more_than_max_data_xfer_size_gets_an_error_reply()
    {
        var (one, two) = UnixConnection.CreatePair();
        var serving = new Thread(() =>
        {
            using var session = new VfioUserSession(two, static _ => new WideDevice());
            Record.Exception(session.Run);
        });
        serving.Start();
        using (var client = new FramedConnection(one))
        {
            client.Send(MessageGen.Version().Bytes);
            Assert.True(client.Receive(out VfioUserHeader version));
            Assert.True(client.Receive(new byte[version.Size - VfioUserHeader.HeaderBytes]));
            var access = new RegionAccess { Region = 0, Count = VfioUserHeader.MaxDataBytes + 1 };
            client.Send(Message(VfioUserCommand.RegionRead, MemoryMarshal.AsBytes(new ReadOnlySpan<RegionAccess>(in access))));
            Assert.True(client.Receive(out VfioUserHeader reply), "the session ended");
            Assert.Equal(22u, reply.Error);
        }
        serving.Join();
    }

    [Theory]
    [InlineData(5u, 0u, 0u)]
    [InlineData(5u, 0u, 65_537u)]
    [InlineData(5u, 0u, uint.MaxValue)]
    [InlineData(5u, 4095u, 2u)]
    [InlineData(0u, 0u, 1u)]
    [InlineData(8u, 0u, 1u)]
    [InlineData(uint.MaxValue, 0u, 1u)]
    public void A_region_access_out_of_bounds_gets_an_error_reply(uint region, uint offset, uint count)
    {
        using var client = Agreed();
        var access = new RegionAccess { Region = region, Offset = offset, Count = count };
        client.Send(Message(VfioUserCommand.RegionRead, MemoryMarshal.AsBytes(new ReadOnlySpan<RegionAccess>(in access))));
        Assert.True(client.Receive(out VfioUserHeader reply));
        Assert.Equal(22u, reply.Error);
        client.Send(Message(VfioUserCommand.RegionWrite, MemoryMarshal.AsBytes(new ReadOnlySpan<RegionAccess>(in access))));
        Assert.True(client.Receive(out reply));
        Assert.Equal(22u, reply.Error);
        Ask(client);
    }

    [Theory]
    [InlineData(0u, 9u, 0u, 1u)]
    [InlineData(36u, 5u, 0u, 1u)]
    [InlineData(36u, 1u, 1u, 1u)]
    [InlineData(36u, 1u, 0u, 2u)]
    [InlineData(36u, 1u, uint.MaxValue, 2u)]
    [InlineData(36u, 2u, 0u, 1u)]
    [InlineData(39u, 1u, 0u, 1u)]
    [InlineData(57u, 1u, 0u, 1u)]
    [InlineData(64u, 1u, 0u, 1u)]
    [InlineData(12u, 1u, 0u, 1u)]
    public void Setting_a_nonexistent_interrupt_gets_an_error_reply(uint flags, uint index, uint start, uint count)
    {
        using var client = Agreed();
        var set = new IrqSetRequest { ArgSize = 20, Flags = (IrqSetFlags)flags, Index = index, Start = start, Count = count };
        client.Send(Message(VfioUserCommand.DeviceSetIrqs, MemoryMarshal.AsBytes(new ReadOnlySpan<IrqSetRequest>(in set))));
        Assert.True(client.Receive(out VfioUserHeader reply));
        Assert.NotEqual(0u, reply.Error);
        Ask(client);
    }

    [Fact]
    public void Pipelined_DMA_maps_keep_their_own_descriptors_even_if_one_has_none()
    {
        using var client = Agreed();
        using var file = SharedMemoryFile.Create("test", 0x3000);
        client.Send(Map(0x0000, 0x1000), [file]);
        client.Send(Map(0x1000, 0x1000));
        client.Send(Map(0x2000, 0x3000), [file]);
        for (var i = 0; i < 3; i++)
        {
            Assert.True(client.Receive(out VfioUserHeader reply));
            Assert.Equal(VfioUserFlags.Reply, reply.Flags);
        }
        Assert.True(_served.Devices.TryPeek(out var device));
        Assert.Equal([0x0000ul, 0x2000ul], device.Memory!.Regions.Select(r => r.GuestAddress));
    }

    [Fact]
    public void A_descriptor_of_the_wrong_type_or_without_use_does_no_harm()
    {
        using var client = Agreed();
        using var file = SharedMemoryFile.Create("test", 0x1000);
        using var eventFd = EventFd.Create();
        client.Send(Map(0, 0x1000), [eventFd.Handle]);
        Assert.True(client.Receive(out VfioUserHeader reply));
        Assert.Equal(22u, reply.Error);
        client.Send(Message(VfioUserCommand.DeviceReset, []), [file, file, file]);
        Assert.True(client.Receive(out reply));
        Assert.Equal(VfioUserFlags.Reply, reply.Flags);
        client.Send(Map(0, 0x1000));
        Assert.True(client.Receive(out reply));
        Assert.True(_served.Devices.TryPeek(out var device));
        Assert.Null(device.Memory);
    }

    [Fact]
    public void A_client_may_disconnect_at_any_byte()
    {
        var version = new byte[VfioUserVersion.Bytes];
        VfioUserVersion.Write(version, 1);
        byte[] talk = [.. Message(VfioUserCommand.Version, version), .. Map(0, 0x1000), .. Message(VfioUserCommand.DeviceGetInfo, new byte[16])];
        for (var bytes = 0; bytes < talk.Length; bytes++)
        {
            using var connection = UnixConnection.Connect(_served.Path);
            connection.Send(talk.AsSpan(0, bytes));
        }
    }

    [Fact]
    public void Random_messages_leave_the_server_working()
    {
        var seed = Environment.TickCount;
        var random = new Random(seed);
        for (var round = 0; round < 100; round++)
        {
            using var client = Agreed();
            try
            {
                for (var i = 0; i < 20; i++)
                {
                    var payload = new byte[random.Next(0, 64)];
                    random.NextBytes(payload);
                    if (random.Next(2) == 0) payload.AsSpan().Clear();
                    client.Send(Message((VfioUserCommand)random.Next(2, 18), payload));
                    Assert.True(client.Receive(out VfioUserHeader reply), $"seed {seed}, round {round}, message {i}");
                    Assert.True(client.Receive(new byte[reply.Size - 16]));
                }
                var noise = new byte[random.Next(1, 4000)];
                random.NextBytes(noise);
                client.Send(noise);
            }
            catch (IOException)
            {
                // The server has closed the connection, as it may.
            }
        }
    }

    private static byte[] Map(ulong address, ulong size)
    {
        var map = new DmaMapRequest { ArgSize = 32, Flags = 3, Address = address, Size = size };
        return Message(VfioUserCommand.DmaMap, MemoryMarshal.AsBytes(new ReadOnlySpan<DmaMapRequest>(in map)));
    }

    private static byte[] Message(VfioUserCommand command, ReadOnlySpan<byte> payload, ushort id = 1)
    {
        var message = new byte[16 + payload.Length];
        MemoryMarshal.Write(message, new VfioUserHeader { Id = id, Command = command, Size = (uint)message.Length });
        payload.CopyTo(message.AsSpan(16));
        return message;
    }

    private static void Ask(FramedConnection client)
    {
        client.Send(Message(VfioUserCommand.DeviceGetInfo, [16, .. new byte[15]]));
        Assert.True(client.Receive(out VfioUserHeader reply));
        Assert.Equal(VfioUserFlags.Reply, reply.Flags);
        Assert.True(client.Receive(new byte[16]));
    }

    private FramedConnection Agreed()
    {
        var client = new FramedConnection(UnixConnection.Connect(_served.Path));
        var version = new byte[VfioUserVersion.Bytes];
        VfioUserVersion.Write(version, 1);
        client.Send(Message(VfioUserCommand.Version, version));
        Assert.True(client.Receive(out VfioUserHeader reply));
        Assert.Equal(VfioUserFlags.Reply, reply.Flags);
        Assert.True(client.Receive(new byte[reply.Size - 16]));
        return client;
    }

    /// <summary>A device whose region is larger than one transfer.</summary>
    private sealed class WideDevice : IVfioUserDevice
    {
        public IReadOnlyList<VfioRegionInfo> Regions { get; } = [new(VfioRegionFlags.Read, 1 << 20)];

        public IReadOnlyList<VfioIrqInfo> Irqs => VfioPciIrq.PinAndOneMessage;

        public bool ReadRegion(int region, ulong offset, Span<byte> data) => true;

        public bool WriteRegion(int region, ulong offset, ReadOnlySpan<byte> data) => true;

        public void SetMemory(GuestMemory? memory)
        {
            // It has no DMA.
        }

        public void Reset()
        {
            // It has no state.
        }

        public void Dispose()
        {
            // It has no resource.
        }
    }
}
