using System.IO.Pipes;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using VmShunt.Ring.Files;
using VmShunt.Ring.Interop;
using VmShunt.Ring.VhostUser;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Ring.VhostUser;

/// <summary>What a front-end may say, and what the back-end makes of it. After every case no descriptor is left over.</summary>
public sealed class HostileFrontendTests : IDisposable
{
    private const ulong ProtocolFeatures = 1ul << 30, Version1 = 1ul << 32;

    private readonly TestMemory _ram = new(0x2_0000);
    private readonly ServedBackend _backend = new();
    private readonly RawFrontend _frontend;
    private readonly EchoClient _client;

    public HostileFrontendTests()
    {
        _frontend = new RawFrontend(_backend);
        _client = new EchoClient(_ram, 0, eventIndex: false);
    }

    public void Dispose()
    {
        _frontend.Dispose();
        _backend.Dispose();
        Assert.Equal(1, Descriptors.Of(_ram.File));
        Assert.Equal(1, Descriptors.Of(_client.Kick.Handle));
        Assert.Equal(1, Descriptors.Of(_client.Call.Handle));
        _client.Dispose();
        _ram.Dispose();
    }

    [Theory]
    [InlineData(0u, "version 0")]
    [InlineData(2u, "version 2")]
    [InlineData(3u, "version 3")]
    [InlineData(0xffff_fff8u, "version 0")]
    [InlineData(5u, "reply")]
    [InlineData(13u, "reply")]
    public void Flags_that_cannot_be_end_the_session(uint flags, string why)
    {
        _frontend.SendRaw((uint)VhostUserRequest.GetFeatures, flags, 0);
        _frontend.AssertEnded(why);
    }

    [Theory]
    [InlineData(4097u)]
    [InlineData(0x8000_0000u)]
    [InlineData(uint.MaxValue)]
    public void A_payload_beyond_the_maximum_ends_the_session(uint size)
    {
        _frontend.SendRaw((uint)VhostUserRequest.SetFeatures, 1, size);
        _frontend.AssertEnded("4096");
    }

    [Theory]
    [InlineData(VhostUserRequest.SetFeatures, 7)]
    [InlineData(VhostUserRequest.SetFeatures, 0)]
    [InlineData(VhostUserRequest.SetFeatures, 4096)]
    [InlineData(VhostUserRequest.SetProtocolFeatures, 9)]
    [InlineData(VhostUserRequest.SetMemTable, 0)]
    [InlineData(VhostUserRequest.SetMemTable, 7)]
    [InlineData(VhostUserRequest.AddMemReg, 32)]
    [InlineData(VhostUserRequest.AddMemReg, 0)]
    [InlineData(VhostUserRequest.RemMemReg, 39)]
    [InlineData(VhostUserRequest.SetVringNum, 4)]
    [InlineData(VhostUserRequest.SetVringBase, 9)]
    [InlineData(VhostUserRequest.GetVringBase, 0)]
    [InlineData(VhostUserRequest.SetVringEnable, 0)]
    [InlineData(VhostUserRequest.SetVringAddr, 39)]
    [InlineData(VhostUserRequest.SetVringAddr, 0)]
    [InlineData(VhostUserRequest.SetVringKick, 4)]
    [InlineData(VhostUserRequest.SetVringCall, 0)]
    [InlineData(VhostUserRequest.SetVringErr, 16)]
    [InlineData(VhostUserRequest.SetStatus, 1)]
    [InlineData(VhostUserRequest.GetConfig, 11)]
    [InlineData(VhostUserRequest.SetConfig, 11)]
    public void A_payload_of_the_wrong_size_ends_the_session(VhostUserRequest request, int size)
    {
        _frontend.Say(request, new byte[size], _ram.File);
        _frontend.AssertEnded("");
    }

    [Fact]
    public void A_front_end_may_die_at_each_byte()
    {
        byte[] talk =
        [
            .. RawFrontend.Message(VhostUserRequest.SetFeatures, Version1),
            .. RawFrontend.Message(VhostUserRequest.SetVringNum, new VringState { Value = 16 }),
            .. RawFrontend.Message(VhostUserRequest.SetVringAddr, _client.Address),
        ];
        int[] ends = [0, 20, 40, talk.Length];
        for (var bytes = 0; bytes <= talk.Length; bytes++)
        {
            using var backend = new ServedBackend();
            using var frontend = new RawFrontend(backend);
            frontend.SendBytes(talk.AsSpan(0, bytes));
            frontend.ShutdownSend();
            Assert.Equal(ends.Contains(bytes), backend.WaitForEnd() is null);
        }
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(6u)]
    [InlineData(7u)]
    [InlineData(19u)]
    [InlineData(20u)]
    [InlineData(23u)]
    [InlineData(33u)]
    [InlineData(41u)]
    [InlineData(0x7fff_ffffu)]
    [InlineData(uint.MaxValue)]
    public void An_unknown_request_is_refused_and_the_session_goes_on(uint request)
    {
        Assert.False(_frontend.Ask((VhostUserRequest)request, [], _ram.File, _client.Kick.Handle));
        _frontend.Say((VhostUserRequest)request, new byte[4096], _ram.File);
        _frontend.AssertAlive();
        Assert.Equal(2, _backend.Reports.Count);
    }

    [Fact]
    public void Features_that_were_not_offered_are_refused()
    {
        Assert.False(_frontend.Ask(VhostUserRequest.SetFeatures, Version1 | 1));
        Assert.False(_frontend.Ask(VhostUserRequest.SetFeatures, ulong.MaxValue));
        Assert.False(_frontend.Ask(VhostUserRequest.SetProtocolFeatures, 1ul << 63));
        Assert.True(_frontend.Ask(VhostUserRequest.SetFeatures, Version1 | ProtocolFeatures));
        Assert.True(_frontend.Ask(VhostUserRequest.SetProtocolFeatures, _frontend.Query(VhostUserRequest.GetProtocolFeatures)));
    }

    [Theory]
    [InlineData(2u)]
    [InlineData(255u)]
    [InlineData(256u)]
    [InlineData(0x8000_0000u)]
    [InlineData(uint.MaxValue)]
    public void A_ring_that_does_not_exist_is_refused_everywhere(uint index)
    {
        Assert.False(_frontend.AskRing(VhostUserRequest.SetVringNum, index, 16));
        Assert.False(_frontend.AskRing(VhostUserRequest.SetVringBase, index, 0));
        Assert.False(_frontend.AskRing(VhostUserRequest.SetVringEnable, index, 1));
        Assert.False(_frontend.Ask(VhostUserRequest.SetVringAddr, _client.Address with { Index = index }));
        foreach (var request in (VhostUserRequest[])[VhostUserRequest.SetVringKick, VhostUserRequest.SetVringCall, VhostUserRequest.SetVringErr])
        {
            // Only eight bits of the word are an index: 256 is ring 0 without a descriptor.
            if ((index & 0xff) >= 2) Assert.False(_frontend.Ask(request, (ulong)index, _client.Kick.Handle));
        }
        _frontend.AssertAlive();
        _frontend.Say(VhostUserRequest.GetVringBase, [.. BitConverter.GetBytes(index), 0, 0, 0, 0]);
        _frontend.AssertEnded("no ring");
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(3u)]
    [InlineData(17u)]
    [InlineData(512u)]
    [InlineData(0x8000_0000u)]
    [InlineData(uint.MaxValue)]
    public void A_ring_size_that_cannot_be_is_refused(uint size)
    {
        Assert.False(_frontend.AskRing(VhostUserRequest.SetVringNum, 0, size));
        Serve();
    }

    [Theory]
    [InlineData(VhostUserRequest.SetVringBase, 65_536u)]
    [InlineData(VhostUserRequest.SetVringBase, uint.MaxValue)]
    [InlineData(VhostUserRequest.SetVringEnable, 2u)]
    [InlineData(VhostUserRequest.SetVringEnable, uint.MaxValue)]
    public void A_ring_state_that_cannot_be_is_refused(VhostUserRequest request, uint value)
    {
        Assert.False(_frontend.AskRing(request, 0, value));
        Serve();
    }

    [Theory]
    [InlineData(8ul, 0ul, 0ul)]
    [InlineData(1ul, 0ul, 0ul)]
    [InlineData(0ul, 1ul, 0ul)]
    [InlineData(0ul, 0ul, 2ul)]
    [InlineData(0ul, 0ul, 1ul)]
    public void Misaligned_ring_parts_are_refused(ulong descriptors, ulong available, ulong used)
    {
        var address = _client.Address;
        address.Descriptors += descriptors;
        address.Available += available;
        address.Used += used;
        Assert.False(_frontend.Ask(VhostUserRequest.SetVringAddr, address));
        Serve();
    }

    [Theory]
    [InlineData(0ul)]
    [InlineData(TestMemory.Start - 16)]
    [InlineData(TestMemory.Start + 0x2_0000)]
    [InlineData(TestMemory.Start + 0x2_0000 - 16)]
    [InlineData(ulong.MaxValue - 15)]
    public void Ring_parts_outside_memory_are_refused(ulong address)
    {
        Configure();
        Assert.True(_frontend.Ask(VhostUserRequest.SetVringKick, 0ul, _client.Kick.Handle));
        foreach (var bad in (VringAddress[])[_client.Address with { Descriptors = address }, _client.Address with { Available = address }, _client.Address with { Used = address }])
        {
            Assert.True(_frontend.Ask(VhostUserRequest.SetVringAddr, bad));
            Assert.False(_frontend.AskRing(VhostUserRequest.SetVringEnable, 0, 1));
            Assert.True(_frontend.AskRing(VhostUserRequest.SetVringEnable, 0, 0));
            Assert.Equal(0, _backend.Device.Running);
        }
        Assert.True(_frontend.Ask(VhostUserRequest.SetVringAddr, _client.Address));
        Assert.True(_frontend.AskRing(VhostUserRequest.SetVringEnable, 0, 1));
        _client.Echo("hello");
    }

    [Fact]
    public void A_ring_across_a_hole_or_two_regions_is_refused_and_one_in_each_is_served()
    {
        Assert.True(_frontend.Ask(VhostUserRequest.SetFeatures, Version1 | ProtocolFeatures));
        Assert.True(_frontend.AddMemory(Region(0, 0x1000), _ram.File));
        Assert.True(_frontend.AddMemory(Region(0x1000, 0x1000), _ram.File));
        Assert.True(_frontend.AddMemory(Region(0x2000, 0xe000), _ram.File));
        Assert.True(_frontend.AskRing(VhostUserRequest.SetVringNum, 0, 16));
        Assert.True(_frontend.Ask(VhostUserRequest.SetVringKick, 0ul, _client.Kick.Handle));
        Assert.True(_frontend.Ask(VhostUserRequest.SetVringCall, 0ul, _client.Call.Handle));
        Assert.True(_frontend.Ask(VhostUserRequest.SetVringAddr, _client.Address with { Descriptors = TestMemory.Start + 0xff0 }));
        Assert.False(_frontend.AskRing(VhostUserRequest.SetVringEnable, 0, 1));
        // Enabled already: right addresses are all that is missing.
        Assert.True(_frontend.Ask(VhostUserRequest.SetVringAddr, _client.Address));
        _client.Echo("hello");
    }

    [Fact]
    public void A_running_ring_cannot_be_changed_under_its_device()
    {
        Serve();
        Assert.False(_frontend.AskRing(VhostUserRequest.SetVringNum, 0, 8));
        Assert.False(_frontend.AskRing(VhostUserRequest.SetVringBase, 0, 5));
        Assert.False(_frontend.Ask(VhostUserRequest.SetVringAddr, _client.Address));
        _client.Echo("as before");
    }

    [Fact]
    public void A_descriptor_must_come_along_unless_the_bit_says_that_none_does()
    {
        Configure();
        Assert.False(_frontend.Ask(VhostUserRequest.SetVringKick, 0ul));
        Assert.False(_frontend.Ask(VhostUserRequest.SetVringCall, 0ul));
        Assert.False(_frontend.Ask(VhostUserRequest.SetVringErr, 0ul));
        Assert.True(_frontend.AskRing(VhostUserRequest.SetVringEnable, 0, 1));
        Assert.Equal(0, _backend.Device.Running);
        // Without a kick descriptor the ring is polled; one that comes along all the same is let go.
        Assert.True(_frontend.Ask(VhostUserRequest.SetVringCall, 0ul, _client.Call.Handle));
        Assert.True(_frontend.Ask(VhostUserRequest.SetVringKick, VringDescriptorWord.NoDescriptor, _client.Kick.Handle));
        Assert.Equal(1, _backend.Device.Running);
        Assert.Null(_backend.Device.Setups.Last().Kick);
        _client.Echo("polled");
    }

    [Fact]
    public void What_is_no_eventfd_is_refused_as_kick_call_and_error()
    {
        var path = Path.GetTempFileName();
        try
        {
            using var pipe = new AnonymousPipeServerStream(PipeDirection.Out);
            using var pipeHandle = new SafeFileHandle(pipe.SafePipeHandle.DangerousGetHandle(), ownsHandle: false);
            pipe.DisposeLocalCopyOfClientHandle();
            using var plain = File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite);
            using var readOnly = File.OpenHandle(path);
            using var nothing = File.OpenHandle("/dev/null", FileMode.Open, FileAccess.ReadWrite);
            Serve();
            foreach (var odd in (SafeHandle[])[pipeHandle, plain, readOnly, nothing, _ram.File, _backend.Socket.Handle])
            {
                foreach (var request in (VhostUserRequest[])[VhostUserRequest.SetVringKick, VhostUserRequest.SetVringCall, VhostUserRequest.SetVringErr])
                {
                    Assert.False(_frontend.Ask(request, 0ul, odd));
                    Assert.Contains("no eventfd", _backend.Reports.Last(), StringComparison.Ordinal);
                }
            }
            _client.Echo("as before");
            Assert.True(_frontend.Ask(VhostUserRequest.SetVringErr, VringDescriptorWord.NoDescriptor));
            // Opened twice by the test itself.
            Assert.Equal(2, Descriptors.Of(plain));
            Assert.Equal(1, Descriptors.Of(pipeHandle));
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void A_front_end_that_shares_its_own_end_of_the_socket_does_not_outlive_itself()
    {
        Configure();
        foreach (var request in (VhostUserRequest[])[VhostUserRequest.SetVringKick, VhostUserRequest.SetVringCall, VhostUserRequest.SetVringErr])
            Assert.False(_frontend.Ask(request, 0ul, _backend.Socket.Handle));
        Assert.False(_frontend.AddMemory(Region(0, 16), _backend.Socket.Handle));
        _frontend.Dispose();
        Assert.Null(_backend.WaitForEnd());
    }

    [Fact]
    public void The_same_eventfd_may_be_kick_call_and_error_at_once()
    {
        Serve();
        Assert.True(_frontend.Ask(VhostUserRequest.SetVringErr, 0ul, _client.Kick.Handle));
        Assert.True(_frontend.Ask(VhostUserRequest.SetVringCall, 0ul, _client.Kick.Handle));
        Assert.True(_frontend.Ask(VhostUserRequest.SetVringCall, 0ul, _client.Call.Handle));
        _client.Echo("hello");
    }

    [Fact]
    public void Too_many_descriptors_are_let_go_at_the_next_message()
    {
        var many = Enumerable.Repeat<SafeHandle>(_ram.File, UnixConnection.MaxDescriptors).ToArray();
        Configure();
        foreach (var request in (VhostUserRequest[])[VhostUserRequest.SetOwner, VhostUserRequest.SetFeatures, VhostUserRequest.SetStatus, VhostUserRequest.SetVringKick])
        {
            var taken = _frontend.Ask(request, request == VhostUserRequest.SetFeatures ? Version1 | ProtocolFeatures : 0ul, many);
            Assert.Equal(request != VhostUserRequest.SetVringKick, taken);
        }
        Assert.True(_frontend.AskRing(VhostUserRequest.SetVringNum, 0, 16));
        Assert.Equal(1, Descriptors.Of(_ram.File));
        Serve();
    }

    [Fact]
    public void A_flood_of_descriptors_leaves_none_behind()
    {
        var many = Enumerable.Repeat<SafeHandle>(_ram.File, UnixConnection.MaxDescriptors).ToArray();
        for (var i = 0; i < 500; i++) Assert.False(_frontend.Ask((VhostUserRequest)99, [], many));
        _frontend.AssertAlive();
        Assert.Equal(1, Descriptors.Of(_ram.File));
    }

    [Fact]
    public void Regions_that_cannot_be_are_refused()
    {
        using var eventFd = EventFd.Create();
        using var small = SharedMemoryFile.Create("test", 0x1000);
        var good = Region(0, 0x1_0000);
        Assert.False(_frontend.AddMemory(good));
        Assert.False(_frontend.AddMemory(good, eventFd.Handle));
        Assert.False(_frontend.AddMemory(good, small));
        Assert.False(_frontend.AddMemory(good with { Size = 0 }, _ram.File));
        Assert.False(_frontend.AddMemory(good with { Size = ulong.MaxValue }, _ram.File));
        Assert.False(_frontend.AddMemory(good with { Size = 0x2_0001 }, _ram.File));
        Assert.False(_frontend.AddMemory(good with { FileOffset = ulong.MaxValue - 0xffff }, _ram.File));
        Assert.False(_frontend.AddMemory(good with { FileOffset = 0x1_0001 }, _ram.File));
        Assert.False(_frontend.AddMemory(good with { GuestAddress = ulong.MaxValue - 0xfffe }, _ram.File));
        Assert.False(_frontend.AddMemory(good with { UserAddress = ulong.MaxValue - 0xfffe }, _ram.File));
        Assert.True(_frontend.AddMemory(good, _ram.File));
        Assert.False(_frontend.AddMemory(good, _ram.File));
        Assert.False(_frontend.AddMemory(Region(0xffff, 1), _ram.File));
        Assert.False(_frontend.RemoveMemory(good with { Size = 1 }));
        Assert.False(_frontend.RemoveMemory(Region(0x1_0000, 0x1_0000)));
        Assert.True(_frontend.RemoveMemory(good));
        Assert.False(_frontend.RemoveMemory(good));
        Serve();
        Assert.Equal((1, 1), (Descriptors.Of(small), Descriptors.Of(eventFd.Handle)));
    }

    [Fact]
    public void Memory_slots_have_the_end_that_was_said_and_can_be_used_again()
    {
        var slots = (int)_frontend.Query(VhostUserRequest.GetMaxMemSlots);
        Assert.InRange(slots, 8, 0x200);
        for (var i = 0; i < slots; i++) Assert.True(_frontend.AddMemory(Region((ulong)i * 16, 16), _ram.File));
        Assert.False(_frontend.AddMemory(Region(0x1_0000, 16), _ram.File));
        for (var round = 0; round < 100; round++)
        {
            Assert.True(_frontend.RemoveMemory(Region(0, 16)));
            Assert.True(_frontend.AddMemory(Region(0, 16), _ram.File));
        }
        Assert.Equal(1, Descriptors.Of(_ram.File));
    }

    [Fact]
    public void Memory_tables_that_cannot_be_are_refused_and_leave_no_half_of_them()
    {
        var (low, high) = (Region(0, 0x1_0000), Region(0x1_0000, 0x1_0000));
        Serve();
        Assert.False(_frontend.Ask(VhostUserRequest.SetMemTable, RawFrontend.Table(0)));
        Assert.False(_frontend.Ask(VhostUserRequest.SetMemTable, RawFrontend.Table(9, [.. Enumerable.Range(0, 9).Select(i => Region((ulong)i * 16, 16))]), [.. Enumerable.Repeat(_ram.File, 9)]));
        Assert.False(_frontend.Ask(VhostUserRequest.SetMemTable, RawFrontend.Table(uint.MaxValue, low), _ram.File));
        Assert.False(_frontend.Ask(VhostUserRequest.SetMemTable, RawFrontend.Table(2, low), _ram.File, _ram.File));
        Assert.False(_frontend.Ask(VhostUserRequest.SetMemTable, RawFrontend.Table(2, low, high), _ram.File));
        Assert.False(_frontend.Ask(VhostUserRequest.SetMemTable, RawFrontend.Table(1, low), _ram.File, _ram.File));
        Assert.False(_frontend.Ask(VhostUserRequest.SetMemTable, RawFrontend.Table(1, low)));
        // None of these was a table: the ring goes on.
        _client.Echo("untouched");
        Assert.False(_frontend.Ask(VhostUserRequest.SetMemTable, RawFrontend.Table(2, low, low), _ram.File, _ram.File));
        Assert.Equal(0, _backend.Device.Running);
        Assert.True(_frontend.AddMemory(high, _ram.File));
        Assert.True(_frontend.Ask(VhostUserRequest.SetMemTable, RawFrontend.Table(2, high, low), _ram.File, _ram.File));
        _client.Echo("a table that is one");
    }

    [Fact]
    public void Memory_that_is_taken_away_stops_its_ring_until_it_is_back()
    {
        using var error = EventFd.Create();
        Serve();
        Assert.True(_frontend.Ask(VhostUserRequest.SetVringErr, 0ul, error.Handle));
        Assert.True(_frontend.RemoveMemory(Region(0, 0x2_0000)));
        Assert.Equal(0, _backend.Device.Running);
        Assert.True(error.TryDrain());
        Assert.Contains("outside the guest's memory", _backend.Reports.Last(), StringComparison.Ordinal);
        _client.Submit("later");
        Assert.True(_frontend.AddMemory(Region(0, 0x2_0000), _ram.File));
        Assert.Equal(1, _backend.Device.Running);
        _client.Complete("later");
    }

    [Fact]
    public void A_ring_is_served_only_while_it_is_enabled()
    {
        Serve();
        Assert.True(_frontend.AskRing(VhostUserRequest.SetVringEnable, 0, 0));
        Assert.Equal(0, _backend.Device.Running);
        Assert.True(_frontend.AskRing(VhostUserRequest.SetVringEnable, 0, 0));
        _client.Submit("waits");
        Assert.True(_frontend.AskRing(VhostUserRequest.SetVringEnable, 0, 1));
        _client.Complete("waits");
        Assert.True(_frontend.AskRing(VhostUserRequest.SetVringEnable, 0, 1));
        _client.Echo("goes on");
        Assert.Equal(2u, _frontend.GetVringBase(0).Value - 1);
        Assert.Equal(0, _backend.Device.Running);
    }

    [Fact]
    public void Without_the_protocol_features_bit_the_kick_descriptor_starts_a_ring()
    {
        Assert.True(_frontend.Ask(VhostUserRequest.SetFeatures, Version1));
        Assert.True(_frontend.Ask(VhostUserRequest.SetMemTable, RawFrontend.Table(1, Region(0, 0x2_0000)), _ram.File));
        Assert.True(_frontend.AskRing(VhostUserRequest.SetVringNum, 0, 16));
        Assert.True(_frontend.Ask(VhostUserRequest.SetVringAddr, _client.Address));
        Assert.True(_frontend.Ask(VhostUserRequest.SetVringCall, 0ul, _client.Call.Handle));
        Assert.Equal(0, _backend.Device.Running);
        Assert.True(_frontend.Ask(VhostUserRequest.SetVringKick, 0ul, _client.Kick.Handle));
        _client.Echo("hello");
    }

    [Fact]
    public void Stopping_a_ring_that_never_ran_tells_its_base()
    {
        Assert.Equal(0u, _frontend.GetVringBase(1).Value);
        Assert.True(_frontend.AskRing(VhostUserRequest.SetVringBase, 1, 65_535));
        Assert.Equal((1u, 65_535u), (_frontend.GetVringBase(1).Index, _frontend.GetVringBase(1).Value));
    }

    [Theory]
    [InlineData(VhostUserRequest.ResetDevice)]
    [InlineData(VhostUserRequest.ResetOwner)]
    [InlineData(VhostUserRequest.SetStatus)]
    public void A_reset_stops_every_ring_and_takes_it_back_to_its_start(VhostUserRequest request)
    {
        Serve();
        Assert.True(_frontend.Ask(VhostUserRequest.SetStatus, 0xful));
        Assert.Equal(0xful, _frontend.Query(VhostUserRequest.GetStatus));
        Assert.True(request == VhostUserRequest.SetStatus ? _frontend.Ask(request, 0ul) : _frontend.Ask(request, []));
        Assert.Equal(0, _backend.Device.Running);
        Assert.Equal(0ul, _frontend.Query(VhostUserRequest.GetStatus));
        Assert.Equal(0u, _frontend.GetVringBase(0).Value);
        Assert.Equal(1, Descriptors.Of(_client.Kick.Handle));
        Assert.Equal(1, Descriptors.Of(_client.Call.Handle));
    }

    [Theory]
    [InlineData(0u, 0u, true)]
    [InlineData(0u, 60u, true)]
    [InlineData(59u, 1u, true)]
    [InlineData(60u, 0u, true)]
    [InlineData(60u, 1u, false)]
    [InlineData(0u, 61u, false)]
    [InlineData(0u, 256u, false)]
    [InlineData(0u, 257u, false)]
    [InlineData(256u, 1u, false)]
    [InlineData(1u, uint.MaxValue, false)]
    [InlineData(uint.MaxValue, 1u, false)]
    [InlineData(0x8000_0000u, 0x8000_0000u, false)]
    public void Configuration_is_read_inside_its_space_only(uint offset, uint size, bool inside)
    {
        var header = new VhostUserConfigHeader { Offset = offset, Size = size };
        var reply = _frontend.Query(VhostUserRequest.GetConfig, MemoryMarshal.AsBytes(new ReadOnlySpan<VhostUserConfigHeader>(in header)));
        Assert.Equal(inside ? 12 + (int)size : 0, reply.Length);
        if (inside) Assert.Equal(_backend.Device.Config.AsSpan((int)offset, (int)size), reply.AsSpan(12));
        _frontend.AssertAlive();
    }

    [Theory]
    [InlineData(32u, 1u, 1, true)]
    [InlineData(33u, 1u, 1, false)]
    [InlineData(32u, 2u, 2, false)]
    [InlineData(32u, 1u, 2, false)]
    [InlineData(32u, 2u, 1, false)]
    [InlineData(32u, 0u, 0, false)]
    [InlineData(257u, 1u, 1, false)]
    [InlineData(uint.MaxValue, 1u, 1, false)]
    [InlineData(0x8000_0020u, 1u, 1, false)]
    [InlineData(32u, uint.MaxValue, 1, false)]
    public void Configuration_is_written_where_it_may_be_only(uint offset, uint size, int bytes, bool written)
    {
        var before = _backend.Device.Config.ToArray();
        var payload = new byte[12 + bytes];
        MemoryMarshal.Write(payload, new VhostUserConfigHeader { Offset = offset, Size = size });
        Assert.Equal(written, _frontend.Ask(VhostUserRequest.SetConfig, payload));
        if (written) before[32] = 0;
        Assert.Equal(before, _backend.Device.Config);
    }

    [Fact]
    public void A_broken_ring_tells_its_error_descriptor_and_works_after_a_new_start()
    {
        using var error = EventFd.Create();
        using var wait = new WaitSet(error.Handle);
        Serve();
        Assert.True(_frontend.Ask(VhostUserRequest.SetVringErr, 0ul, error.Handle));
        var available = _ram.Window(_client.Address.Available, 4);
        var index = available.Read<ushort>(2);
        available.WriteUInt16Release(2, (ushort)(index + 100));
        _client.Kick.Signal();
        Assert.True(wait.Wait(60_000));
        var position = _frontend.GetVringBase(0).Value;
        Assert.Equal(index, position);
        available.WriteUInt16Release(2, index);
        Assert.True(_frontend.AskRing(VhostUserRequest.SetVringBase, 0, position));
        Assert.True(_frontend.Ask(VhostUserRequest.SetVringCall, 0ul, _client.Call.Handle));
        Assert.True(_frontend.Ask(VhostUserRequest.SetVringKick, 0ul, _client.Kick.Handle));
        _client.Echo("anew");
    }

    [Fact]
    public void Noise_of_any_kind_ends_or_goes_on_but_never_leaks()
    {
        var seed = Environment.TickCount;
        var random = new Random(seed);
        SafeHandle[] handles = [_ram.File, _client.Kick.Handle, _client.Call.Handle];
        for (var round = 0; round < 60; round++)
        {
            using var backend = new ServedBackend();
            using var frontend = new RawFrontend(backend);
            try
            {
                for (var message = 0; message < 40; message++)
                {
                    var payload = new byte[random.Next(4) switch { 0 => random.Next(64), 1 => 40, _ => 8 }];
                    // Small numbers are indices and sizes that exist.
                    foreach (ref var b in payload.AsSpan()) b = (byte)(random.Next(4) == 0 ? random.Next(256) : 0);
                    if (payload.Length > 4) payload[4] = (byte)(1 << random.Next(8));
                    frontend.Say((VhostUserRequest)random.Next(42), payload, handles.AsSpan(0, random.Next(4)));
                }
                frontend.ShutdownSend();
            }
            catch (IOException)
            {
                // It has had enough.
            }
            backend.WaitForEnd();
            foreach (var handle in handles) Assert.True(Descriptors.Of(handle) == 1, $"seed {seed}, round {round}");
        }
    }

    private static VhostUserMemoryRegion Region(ulong offset, ulong size) => new()
    {
        GuestAddress = TestMemory.Start + offset,
        UserAddress = TestMemory.Start + offset,
        Size = size,
        FileOffset = offset,
    };

    /// <summary>All that ring 0 needs but kick and enable.</summary>
    private void Configure()
    {
        Assert.True(_frontend.Ask(VhostUserRequest.SetFeatures, Version1 | ProtocolFeatures));
        Assert.True(_frontend.AddMemory(Region(0, 0x2_0000), _ram.File));
        Assert.True(_frontend.AskRing(VhostUserRequest.SetVringNum, 0, 16));
        Assert.True(_frontend.AskRing(VhostUserRequest.SetVringBase, 0, 0));
        Assert.True(_frontend.Ask(VhostUserRequest.SetVringAddr, _client.Address));
        Assert.True(_frontend.Ask(VhostUserRequest.SetVringCall, 0ul, _client.Call.Handle));
    }

    /// <summary>Whatever was refused before: a front-end that does it right is served.</summary>
    private void Serve()
    {
        if (_frontend.RemoveMemory(Region(0, 0x2_0000))) _frontend.GetVringBase(0);
        Configure();
        Assert.True(_frontend.Ask(VhostUserRequest.SetVringKick, 0ul, _client.Kick.Handle));
        Assert.True(_frontend.AskRing(VhostUserRequest.SetVringEnable, 0, 1));
        _client.Echo("hello");
    }
}
