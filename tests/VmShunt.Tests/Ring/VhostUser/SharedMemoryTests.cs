using VmShunt.Ring.Files;
using VmShunt.Ring.Interop;
using VmShunt.Ring.VhostUser;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Ring.VhostUser;

/// <summary>Memory regions that a front-end adds, removes and replaces, valid or not.</summary>
public sealed class SharedMemoryTests : SessionTests
{
    [Fact]
    public void Invalid_memory_regions_are_refused()
    {
        using var eventFd = EventFd.Create();
        using var small = SharedMemoryFile.Create("test", 0x1000);
        var good = Region(0, 0x1_0000);
        Assert.False(Frontend.AddMemory(good));
        Assert.False(Frontend.AddMemory(good, eventFd.Handle));
        Assert.False(Frontend.AddMemory(good, small));
        Assert.False(Frontend.AddMemory(good with { Size = 0 }, Ram.File));
        Assert.False(Frontend.AddMemory(good with { Size = ulong.MaxValue }, Ram.File));
        Assert.False(Frontend.AddMemory(good with { Size = 0x2_0001 }, Ram.File));
        Assert.False(Frontend.AddMemory(good with { FileOffset = ulong.MaxValue - 0xffff }, Ram.File));
        Assert.False(Frontend.AddMemory(good with { FileOffset = 0x1_0001 }, Ram.File));
        Assert.False(Frontend.AddMemory(good with { GuestAddress = ulong.MaxValue - 0xfffe }, Ram.File));
        Assert.False(Frontend.AddMemory(good with { UserAddress = ulong.MaxValue - 0xfffe }, Ram.File));
        Assert.True(Frontend.AddMemory(good, Ram.File));
        Assert.False(Frontend.AddMemory(good, Ram.File));
        Assert.False(Frontend.AddMemory(Region(0xffff, 1), Ram.File));
        Assert.False(Frontend.RemoveMemory(good with { Size = 1 }));
        Assert.False(Frontend.RemoveMemory(Region(0x1_0000, 0x1_0000)));
        Assert.True(Frontend.RemoveMemory(good));
        Assert.False(Frontend.RemoveMemory(good));
        Serve();
        Assert.Equal((1, 1), (Descriptors.Of(small), Descriptors.Of(eventFd.Handle)));
    }

    [Fact]
    public void Memory_slots_are_limited_to_the_reported_number_and_reusable()
    {
        var slots = (int)Frontend.Query(VhostUserRequest.GetMaxMemSlots);
        Assert.InRange(slots, 8, 0x200);
        for (var i = 0; i < slots; i++) Assert.True(Frontend.AddMemory(Region((ulong)i * 16, 16), Ram.File));
        Assert.False(Frontend.AddMemory(Region(0x1_0000, 16), Ram.File));
        for (var round = 0; round < 100; round++)
        {
            Assert.True(Frontend.RemoveMemory(Region(0, 16)));
            Assert.True(Frontend.AddMemory(Region(0, 16), Ram.File));
        }
        Assert.Equal(1, Descriptors.Of(Ram.File));
    }

    [Fact]
    public void An_invalid_memory_table_is_refused_as_a_whole()
    {
        var (low, high) = (Region(0, 0x1_0000), Region(0x1_0000, 0x1_0000));
        Serve();
        Assert.False(Frontend.Ask(VhostUserRequest.SetMemTable, RawFrontend.Table(0)));
        Assert.False(Frontend.Ask(VhostUserRequest.SetMemTable, RawFrontend.Table(9, [.. Enumerable.Range(0, 9).Select(i => Region((ulong)i * 16, 16))]), [.. Enumerable.Repeat(Ram.File, 9)]));
        Assert.False(Frontend.Ask(VhostUserRequest.SetMemTable, RawFrontend.Table(uint.MaxValue, low), Ram.File));
        Assert.False(Frontend.Ask(VhostUserRequest.SetMemTable, RawFrontend.Table(2, low), Ram.File, Ram.File));
        Assert.False(Frontend.Ask(VhostUserRequest.SetMemTable, RawFrontend.Table(2, low, high), Ram.File));
        Assert.False(Frontend.Ask(VhostUserRequest.SetMemTable, RawFrontend.Table(1, low), Ram.File, Ram.File));
        Assert.False(Frontend.Ask(VhostUserRequest.SetMemTable, RawFrontend.Table(1, low)));
        // No table was valid, so the ring still runs.
        Client.Echo("untouched");
        Assert.False(Frontend.Ask(VhostUserRequest.SetMemTable, RawFrontend.Table(2, low, low), Ram.File, Ram.File));
        Assert.Equal(0, Backend.Device.Running);
        Assert.True(Frontend.AddMemory(high, Ram.File));
        Assert.True(Frontend.Ask(VhostUserRequest.SetMemTable, RawFrontend.Table(2, high, low), Ram.File, Ram.File));
        Client.Echo("a valid table");
    }

    [Fact]
    public void A_ring_stops_while_its_memory_is_removed()
    {
        using var error = EventFd.Create();
        Serve();
        Assert.True(Frontend.Ask(VhostUserRequest.SetVringErr, 0ul, error.Handle));
        Assert.True(Frontend.RemoveMemory(Region(0, 0x2_0000)));
        Assert.Equal(0, Backend.Device.Running);
        Assert.True(error.TryDrain());
        Assert.Contains("outside the guest's memory", Backend.Reports.Last(), StringComparison.Ordinal);
        Client.Submit("later");
        Assert.True(Frontend.AddMemory(Region(0, 0x2_0000), Ram.File));
        Assert.Equal(1, Backend.Device.Running);
        Client.Complete("later");
    }

    [Fact]
    public void A_region_is_removed_by_its_addresses_and_size_and_a_descriptor_that_comes_along_is_closed()
    {
        Assert.True(Frontend.AddMemory(Region(0, 0x1_0000), Ram.File));
        var region = Region(0, 0x1_0000);
        foreach (var other in (VhostUserMemoryRegion[])[region with { Size = 0x8000 }, region with { GuestAddress = 0x1000 }, region with { UserAddress = 0x1000 }])
            Assert.False(Frontend.RemoveMemory(other));
        var removed = RawFrontend.Slot(region with { FileOffset = 0x5000 });
        Assert.True(Frontend.Ask(VhostUserRequest.RemMemReg, removed, Ram.File));
        Frontend.AssertAlive();
        Assert.Equal(1, Descriptors.Of(Ram.File));
    }

    [Fact]
    public void A_memory_table_pairs_regions_with_descriptors_in_order()
    {
        Serve();
        using var small = SharedMemoryFile.Create("test", 0x1000);
        var other = new VhostUserMemoryRegion { GuestAddress = 0x1000, UserAddress = 0x1000, Size = 0x1000 };
        Assert.True(Frontend.Ask(VhostUserRequest.SetMemTable, RawFrontend.Table(2, other, Region(0, 0x2_0000)), small, Ram.File));
        Client.Echo("from the second descriptor");
        Assert.False(Frontend.Ask(VhostUserRequest.SetMemTable, RawFrontend.Table(2, other, Region(0, 0x2_0000)), Ram.File, small));
    }

    [Fact]
    public void Ring_addresses_are_user_addresses_and_buffer_addresses_are_guest_addresses()
    {
        const ulong shift = 0x10_0000_0000;
        Assert.True(Frontend.Ask(VhostUserRequest.SetFeatures, Version1 | ProtocolFeatures));
        Assert.True(Frontend.AddMemory(Region(0, 0x2_0000) with { UserAddress = TestMemory.Start + shift }, Ram.File));
        Assert.True(Frontend.AskRing(VhostUserRequest.SetVringNum, 0, 16));
        var guest = Client.Address;
        var user = guest with { Descriptors = guest.Descriptors + shift, Available = guest.Available + shift, Used = guest.Used + shift };
        Assert.True(Frontend.Ask(VhostUserRequest.SetVringAddr, user));
        Assert.True(Frontend.Ask(VhostUserRequest.SetVringCall, 0ul, Client.Call.Handle));
        Assert.True(Frontend.Ask(VhostUserRequest.SetVringKick, 0ul, Client.Kick.Handle));
        Assert.True(Frontend.AskRing(VhostUserRequest.SetVringEnable, 0, 1));
        Client.Echo("hello");
    }
}
