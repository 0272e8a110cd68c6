using System.Runtime.InteropServices;
using VmShunt.Ring.Interop;
using VmShunt.Ring.VhostUser;
using VmShunt.Ring.Virtqueue;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Ring.VhostUser;

/// <summary>GET_INFLIGHT_FD and SET_INFLIGHT_FD (vhost-user, "Inflight I/O tracking").</summary>
public sealed class InflightMemoryTests : SessionTests
{
    [Fact]
    public void A_ring_gets_its_part_of_the_memory_that_the_back_end_allocated()
    {
        var memory = Get(queues: 2);
        using var file = Frontend.TakeDescriptor();
        Assert.NotNull(file);
        Assert.Equal((0ul, (ushort)2), (memory.MmapOffset, memory.QueueCount));
        Assert.Equal((ulong)RandomAccess.GetLength(file), memory.MmapSize);
        Assert.True(Frontend.Ask(VhostUserRequest.SetInflightFd, memory, file));
        Serve();
        Assert.True(Backend.Device.Setups.TryPeek(out var setup));
        Assert.InRange(setup.Inflight.Length, SplitDeviceQueue.InflightBytes(setup.Size), (int)memory.MmapSize / 2);
    }

    [Fact]
    public void Without_the_memory_a_ring_keeps_no_record()
    {
        Serve();
        Assert.True(Backend.Device.Setups.TryPeek(out var setup));
        Assert.Equal(0, setup.Inflight.Length);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    [InlineData(ushort.MaxValue)]
    public void Memory_for_an_invalid_number_of_rings_is_not_allocated(int queues)
    {
        Assert.Equal(default, Get((ushort)queues));
        Assert.Null(Frontend.TakeDescriptor());
        Assert.Contains("GetInflightFd refused", Assert.Single(Backend.Reports), StringComparison.Ordinal);
    }

    [Fact]
    public void Invalid_memory_is_refused_and_the_session_continues()
    {
        using var eventFd = EventFd.Create();
        var good = new VhostUserInflight { MmapSize = 0x1_0000, QueueCount = 2, QueueSize = 16 };
        Assert.False(Frontend.Ask(VhostUserRequest.SetInflightFd, good));
        Assert.False(Frontend.Ask(VhostUserRequest.SetInflightFd, good, eventFd.Handle));
        Assert.False(Frontend.Ask(VhostUserRequest.SetInflightFd, good with { QueueCount = 0 }, Ram.File));
        Assert.False(Frontend.Ask(VhostUserRequest.SetInflightFd, good with { QueueCount = 3 }, Ram.File));
        Assert.False(Frontend.Ask(VhostUserRequest.SetInflightFd, good with { MmapSize = 0 }, Ram.File));
        Assert.False(Frontend.Ask(VhostUserRequest.SetInflightFd, good with { MmapSize = 0x2_0001 }, Ram.File));
        Assert.False(Frontend.Ask(VhostUserRequest.SetInflightFd, good with { MmapOffset = ulong.MaxValue }, Ram.File));
        Assert.Equal((1, 1), (Descriptors.Of(eventFd.Handle), Descriptors.Of(Ram.File)));
        Serve();
    }

    private VhostUserInflight Get(ushort queues)
    {
        var asked = new VhostUserInflight { QueueCount = queues, QueueSize = 16 };
        return MemoryMarshal.Read<VhostUserInflight>(Frontend.Query(VhostUserRequest.GetInflightFd, MemoryMarshal.AsBytes(new ReadOnlySpan<VhostUserInflight>(in asked))));
    }
}
