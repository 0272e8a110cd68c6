using System.Runtime.InteropServices;
using CsCheck;
using VmShunt.Ring.Interop;
using VmShunt.Ring.VhostUser;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Ring.VhostUser;

/// <summary>Messages that no correct front-end sends, and what the back-end does with them.</summary>
public sealed class HostileMessageTests : SessionTests
{
    [Theory]
    [InlineData(0u, "version 0")]
    [InlineData(2u, "version 2")]
    [InlineData(3u, "version 3")]
    [InlineData(0xffff_fff8u, "version 0")]
    [InlineData(5u, "reply")]
    [InlineData(13u, "reply")]
    public void Invalid_header_flags_end_the_session(uint flags, string why)
    {
        Frontend.SendRaw((uint)VhostUserRequest.GetFeatures, flags, 0);
        Frontend.AssertEnded(why);
    }

    [Theory]
    [InlineData(4097u)]
    [InlineData(0x8000_0000u)]
    [InlineData(uint.MaxValue)]
    public void A_payload_beyond_the_maximum_ends_the_session(uint size)
    {
        Frontend.SendRaw((uint)VhostUserRequest.SetFeatures, 1, size);
        Frontend.AssertEnded("4096");
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
        Frontend.Say(request, new byte[size], Ram.File);
        Frontend.AssertEnded("");
    }

    [Fact]
    public void A_front_end_may_close_after_any_byte()
    {
        byte[] talk =
        [
            .. RawFrontend.Message(VhostUserRequest.SetFeatures, Version1),
            .. RawFrontend.Message(VhostUserRequest.SetVringNum, new VringState { Value = 16 }),
            .. RawFrontend.Message(VhostUserRequest.SetVringAddr, Client.Address),
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
    public void An_unknown_request_is_refused_and_the_session_continues(uint request)
    {
        Assert.False(Frontend.Ask((VhostUserRequest)request, [], Ram.File, Client.Kick.Handle));
        Frontend.Say((VhostUserRequest)request, new byte[4096], Ram.File);
        Frontend.AssertAlive();
        Assert.Equal(2, Backend.Reports.Count);
    }

    [Fact]
    public void Features_that_were_not_offered_are_refused()
    {
        Assert.False(Frontend.Ask(VhostUserRequest.SetFeatures, Version1 | 1));
        Assert.False(Frontend.Ask(VhostUserRequest.SetFeatures, ulong.MaxValue));
        Assert.False(Frontend.Ask(VhostUserRequest.SetProtocolFeatures, 1ul << 63));
        Assert.True(Frontend.Ask(VhostUserRequest.SetFeatures, Version1 | ProtocolFeatures));
        Assert.True(Frontend.Ask(VhostUserRequest.SetProtocolFeatures, Frontend.Query(VhostUserRequest.GetProtocolFeatures)));
    }

    [Fact]
    public void A_session_socket_passed_as_a_descriptor_does_not_keep_the_session_open()
    {
        Configure();
        foreach (var request in (VhostUserRequest[])[VhostUserRequest.SetVringKick, VhostUserRequest.SetVringCall, VhostUserRequest.SetVringErr])
            Assert.False(Frontend.Ask(request, 0ul, Backend.Socket.Handle));
        Assert.False(Frontend.AddMemory(Region(0, 16), Backend.Socket.Handle));
        Frontend.Dispose();
        Assert.Null(Backend.WaitForEnd());
    }

    [Fact]
    public void Unused_descriptors_are_closed_at_the_next_message()
    {
        var many = Enumerable.Repeat<SafeHandle>(Ram.File, UnixConnection.MaxDescriptors).ToArray();
        Configure();
        foreach (var request in (VhostUserRequest[])[VhostUserRequest.SetOwner, VhostUserRequest.SetFeatures, VhostUserRequest.SetStatus, VhostUserRequest.SetVringKick])
        {
            var accepted = Frontend.Ask(request, request == VhostUserRequest.SetFeatures ? Version1 | ProtocolFeatures : 0ul, many);
            Assert.Equal(request != VhostUserRequest.SetVringKick, accepted);
        }
        Assert.True(Frontend.AskRing(VhostUserRequest.SetVringNum, 0, 16));
        Assert.Equal(1, Descriptors.Of(Ram.File));
        Serve();
    }

    [Fact]
    public void A_flood_of_descriptors_leaves_none_open()
    {
        var many = Enumerable.Repeat<SafeHandle>(Ram.File, UnixConnection.MaxDescriptors).ToArray();
        for (var i = 0; i < 500; i++) Assert.False(Frontend.Ask((VhostUserRequest)99, [], many));
        Frontend.AssertAlive();
        Assert.Equal(1, Descriptors.Of(Ram.File));
    }

    [Fact]
    public void Random_messages_never_leak_a_descriptor()
    {
        SafeHandle[] handles = [Ram.File, Client.Kick.Handle, Client.Call.Handle];
        // Small numbers are indices and sizes that exist.
        var payload = Gen.OneOf(Gen.Const(8), Gen.Const(40), Gen.Int[0, 63])
            .SelectMany(static bytes => Gen.Frequency<byte>((3, Gen.Const((byte)0)), (1, Gen.Byte)).Array[bytes]);
        var bit = Gen.Int[0, 7].Select(static shift => (byte)(1 << shift));
        Gen.Select(Gen.UInt[0, 41], payload, bit, Gen.Int[0, 3]).Array[0, 40].Sample(
            messages =>
            {
                using var backend = new ServedBackend();
                using var frontend = new RawFrontend(backend);
                try
                {
                    foreach (var (request, bytes, fifth, descriptors) in messages)
                    {
                        if (bytes.Length > 4) bytes[4] = fifth;
                        frontend.Say((VhostUserRequest)request, bytes, handles.AsSpan(0, descriptors));
                    }
                    frontend.ShutdownSend();
                }
                catch (IOException)
                {
                    // The back-end has ended the session.
                }
                backend.WaitForEnd();
                Assert.All(handles, static handle => Assert.Equal(1, Descriptors.Of(handle)));
            },
            iter: 60,
            threads: 1);
    }
}
