using System.IO.Pipes;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using VmShunt.Ring.VhostUser;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Ring.VhostUser;

/// <summary>Ring set-ups that no correct front-end asks for, and what the back-end does with them.</summary>
public sealed class HostileRingSetupTests : SessionTests
{
    [Theory]
    [InlineData(2u)]
    [InlineData(255u)]
    [InlineData(256u)]
    [InlineData(0x8000_0000u)]
    [InlineData(uint.MaxValue)]
    public void A_ring_index_that_does_not_exist_is_refused(uint index)
    {
        Assert.False(Frontend.AskRing(VhostUserRequest.SetVringNum, index, 16));
        Assert.False(Frontend.AskRing(VhostUserRequest.SetVringBase, index, 0));
        Assert.False(Frontend.AskRing(VhostUserRequest.SetVringEnable, index, 1));
        Assert.False(Frontend.Ask(VhostUserRequest.SetVringAddr, Client.Address with { Index = index }));
        foreach (var request in (VhostUserRequest[])[VhostUserRequest.SetVringKick, VhostUserRequest.SetVringCall, VhostUserRequest.SetVringErr])
        {
            // Only eight bits of the word are an index: 256 is ring 0 without a descriptor.
            if ((index & 0xff) >= 2) Assert.False(Frontend.Ask(request, (ulong)index, Client.Kick.Handle));
        }
        Frontend.AssertAlive();
        Frontend.Say(VhostUserRequest.GetVringBase, [.. BitConverter.GetBytes(index), 0, 0, 0, 0]);
        Frontend.AssertEnded("does not exist");
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(3u)]
    [InlineData(17u)]
    [InlineData(512u)]
    [InlineData(0x8000_0000u)]
    [InlineData(uint.MaxValue)]
    public void An_invalid_ring_size_is_refused(uint size)
    {
        Assert.False(Frontend.AskRing(VhostUserRequest.SetVringNum, 0, size));
        Serve();
    }

    [Theory]
    [InlineData(VhostUserRequest.SetVringBase, 65_536u)]
    [InlineData(VhostUserRequest.SetVringBase, uint.MaxValue)]
    [InlineData(VhostUserRequest.SetVringEnable, 2u)]
    [InlineData(VhostUserRequest.SetVringEnable, uint.MaxValue)]
    public void An_invalid_base_or_enable_is_refused(VhostUserRequest request, uint value)
    {
        Assert.False(Frontend.AskRing(request, 0, value));
        Serve();
    }

    [Theory]
    [InlineData(8ul, 0ul, 0ul)]
    [InlineData(1ul, 0ul, 0ul)]
    [InlineData(0ul, 1ul, 0ul)]
    [InlineData(0ul, 0ul, 2ul)]
    [InlineData(0ul, 0ul, 1ul)]
    public void Misaligned_ring_addresses_are_refused(ulong descriptors, ulong available, ulong used)
    {
        var address = Client.Address;
        address.Descriptors += descriptors;
        address.Available += available;
        address.Used += used;
        Assert.False(Frontend.Ask(VhostUserRequest.SetVringAddr, address));
        Serve();
    }

    [Theory]
    [InlineData(0ul)]
    [InlineData(TestMemory.Start - 16)]
    [InlineData(TestMemory.Start + 0x2_0000)]
    [InlineData(TestMemory.Start + 0x2_0000 - 16)]
    [InlineData(ulong.MaxValue - 15)]
    public void Ring_addresses_outside_memory_are_refused(ulong address)
    {
        Configure();
        Assert.True(Frontend.Ask(VhostUserRequest.SetVringKick, 0ul, Client.Kick.Handle));
        foreach (var bad in (VringAddress[])[Client.Address with { Descriptors = address }, Client.Address with { Available = address }, Client.Address with { Used = address }])
        {
            Assert.True(Frontend.Ask(VhostUserRequest.SetVringAddr, bad));
            Assert.False(Frontend.AskRing(VhostUserRequest.SetVringEnable, 0, 1));
            Assert.True(Frontend.AskRing(VhostUserRequest.SetVringEnable, 0, 0));
            Assert.Equal(0, Backend.Device.Running);
        }
        Assert.True(Frontend.Ask(VhostUserRequest.SetVringAddr, Client.Address));
        Assert.True(Frontend.AskRing(VhostUserRequest.SetVringEnable, 0, 1));
        Client.Echo("hello");
    }

    [Fact]
    public void A_ring_across_a_hole_or_two_regions_is_refused_and_one_in_each_is_served()
    {
        Assert.True(Frontend.Ask(VhostUserRequest.SetFeatures, Version1 | ProtocolFeatures));
        Assert.True(Frontend.AddMemory(Region(0, 0x1000), Ram.File));
        Assert.True(Frontend.AddMemory(Region(0x1000, 0x1000), Ram.File));
        Assert.True(Frontend.AddMemory(Region(0x2000, 0xe000), Ram.File));
        Assert.True(Frontend.AskRing(VhostUserRequest.SetVringNum, 0, 16));
        Assert.True(Frontend.Ask(VhostUserRequest.SetVringKick, 0ul, Client.Kick.Handle));
        Assert.True(Frontend.Ask(VhostUserRequest.SetVringCall, 0ul, Client.Call.Handle));
        Assert.True(Frontend.Ask(VhostUserRequest.SetVringAddr, Client.Address with { Descriptors = TestMemory.Start + 0xff0 }));
        Assert.False(Frontend.AskRing(VhostUserRequest.SetVringEnable, 0, 1));
        // The ring is enabled; only valid addresses are missing.
        Assert.True(Frontend.Ask(VhostUserRequest.SetVringAddr, Client.Address));
        Client.Echo("hello");
    }

    [Fact]
    public void Size_base_and_addresses_of_a_running_ring_cannot_change()
    {
        Serve();
        Assert.False(Frontend.AskRing(VhostUserRequest.SetVringNum, 0, 8));
        Assert.False(Frontend.AskRing(VhostUserRequest.SetVringBase, 0, 5));
        Assert.False(Frontend.Ask(VhostUserRequest.SetVringAddr, Client.Address with { Used = Client.Address.Used + 0x40 }));
        Client.Echo("as before");
        // QEMU sends the same addresses to a running ring when it starts or stops to log what the device writes.
        Assert.True(Frontend.Ask(VhostUserRequest.SetVringAddr, Client.Address with { Flags = VringAddress.LogUsed, Log = Client.Address.Used }));
        Client.Echo("still as before");
    }

    [Fact]
    public void A_missing_descriptor_is_refused_unless_the_invalid_FD_flag_is_set()
    {
        Configure();
        Assert.False(Frontend.Ask(VhostUserRequest.SetVringKick, 0ul));
        Assert.False(Frontend.Ask(VhostUserRequest.SetVringCall, 0ul));
        Assert.False(Frontend.Ask(VhostUserRequest.SetVringErr, 0ul));
        Assert.True(Frontend.AskRing(VhostUserRequest.SetVringEnable, 0, 1));
        Assert.Equal(0, Backend.Device.Running);
        // With the invalid FD flag the ring is polled, and a descriptor is closed.
        Assert.True(Frontend.Ask(VhostUserRequest.SetVringCall, 0ul, Client.Call.Handle));
        Assert.True(Frontend.Ask(VhostUserRequest.SetVringKick, VringDescriptorWord.NoDescriptor, Client.Kick.Handle));
        Assert.Equal(1, Backend.Device.Running);
        Assert.Null(Backend.Device.Setups.Last().Kick);
        Client.Echo("polled");
    }

    [Fact]
    public void A_descriptor_that_is_not_an_eventfd_is_refused()
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
            foreach (var odd in (SafeHandle[])[pipeHandle, plain, readOnly, nothing, Ram.File, Backend.Socket.Handle])
            {
                foreach (var request in (VhostUserRequest[])[VhostUserRequest.SetVringKick, VhostUserRequest.SetVringCall, VhostUserRequest.SetVringErr])
                {
                    Assert.False(Frontend.Ask(request, 0ul, odd));
                    Assert.Contains("not an eventfd", Backend.Reports.Last(), StringComparison.Ordinal);
                }
            }
            Client.Echo("as before");
            Assert.True(Frontend.Ask(VhostUserRequest.SetVringErr, VringDescriptorWord.NoDescriptor));
            // The test itself opened the file twice.
            Assert.Equal(2, Descriptors.Of(plain));
            Assert.Equal(1, Descriptors.Of(pipeHandle));
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void The_same_eventfd_may_be_kick_call_and_error_at_once()
    {
        Serve();
        Assert.True(Frontend.Ask(VhostUserRequest.SetVringErr, 0ul, Client.Kick.Handle));
        Assert.True(Frontend.Ask(VhostUserRequest.SetVringCall, 0ul, Client.Kick.Handle));
        Assert.True(Frontend.Ask(VhostUserRequest.SetVringCall, 0ul, Client.Call.Handle));
        Client.Echo("hello");
    }
}
