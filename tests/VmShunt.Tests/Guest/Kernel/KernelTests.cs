using VmShunt.Guest.Mode;

namespace VmShunt.Tests.Guest.Kernel;

/// <summary>What a kernel has on a machine without a hypervisor, and over the bus alone.</summary>
public sealed class KernelTests(BoardFixture board, BusFixture bus) : IClassFixture<BoardFixture>, IClassFixture<BusFixture>
{
    [Fact]
    public void Without_a_hypervisor_the_guest_is_emulating_and_has_no_bus()
    {
        var kernel = board.Guest.Kernel;
        Assert.Equal(GuestMode.Emulating, kernel.Mode);
        Assert.False(kernel.IsBusOffered());
        Assert.Null(kernel.Channel);
        Assert.Null(kernel.EnlightenedDisk);
        Assert.Throws<IOException>(() => kernel.ChangeMode(GuestMode.Enlightened));
        Assert.Equal(GuestMode.Emulating, kernel.Mode);
    }

    [Fact]
    public void Without_a_dump_partition_the_crash_path_knows_why_it_cannot_dump() =>
        Assert.Equal("the disk has no dump partition", board.Guest.Kernel.CrashPath?.Obstacle);

    [Fact]
    public void Over_the_bus_alone_the_guest_is_enlightened_and_cannot_change_its_mode()
    {
        var kernel = bus.Guest.Kernel;
        Assert.Equal(GuestMode.Enlightened, kernel.Mode);
        Assert.NotNull(kernel.Channel);
        Assert.Null(kernel.EmulatingDisk);
        Assert.Null(kernel.Shunt);
        Assert.Contains("its mode cannot change", Assert.Throws<IOException>(() => kernel.ChangeMode(GuestMode.Emulating)).Message, StringComparison.Ordinal);
        Assert.Throws<InvalidOperationException>(() => kernel.Configure(ShuntOptions.Default));
    }

    [Fact]
    public async Task A_request_on_the_emulating_stack_traps_and_one_over_the_bus_does_not()
    {
        var emulating = board.Guest.Kernel;
        var accesses = emulating.RegisterAccesses;
        await emulating.EmulatingDisk!.FlushAsync();
        Assert.InRange(emulating.RegisterAccesses - accesses, 1, 100);
        Assert.InRange(emulating.EmulatingDisk.Counters.Trapped, 1, long.MaxValue);

        await bus.Guest.Kernel.EnlightenedDisk!.FlushAsync();
        Assert.Equal((0, 0), (bus.Guest.Kernel.RegisterAccesses, bus.Guest.Kernel.EnlightenedDisk.Counters.Trapped));
    }

    [Fact]
    public async Task A_kernel_over_the_bus_reconnects_and_counts_it()
    {
        var kernel = bus.Guest.Kernel;
        var reconnects = kernel.Reconnects;
        bus.Disconnect();
        Assert.True(SpinWait.SpinUntil(() => kernel.Reconnects == reconnects + 1, TimeSpan.FromSeconds(60)));
        await kernel.EnlightenedDisk!.FlushAsync().AsTask().WaitAsync(TimeSpan.FromSeconds(60));
        Assert.Equal(0, kernel.InFlight);
    }

    [Fact]
    public void A_guest_with_too_little_memory_is_told_how_to_get_more() =>
        Assert.Contains("--memory", Assert.Throws<InvalidOperationException>(() => VmShunt.Tests.Doubles.Buffers.NewPages(1 << 20)).Message, StringComparison.Ordinal);
}
