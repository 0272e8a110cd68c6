using VmShunt.BlockDriver;
using VmShunt.BlockDriver.Requests;
using VmShunt.Guest.Requests;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Guest.Kernel.Requests;

public class DiskClassDriverTests
{
    private readonly CrashGate _crash = new();

    [Theory]
    [InlineData(1024, 512)]
    [InlineData(1023, 1024)]
    [InlineData(ulong.MaxValue, 512)]
    [InlineData(0, 100)]
    [InlineData(0, (1 << 20) + 512)]
    public void An_invalid_request_is_rejected_before_it_is_counted(ulong sector, int bytes)
    {
        var lower = new RecordingDriver();
        var disk = new DiskClassDriver(lower, _crash);
        // Not awaited: a request that is accepted here never completes.
        Assert.Throws<ArgumentOutOfRangeException>(() => { _ = disk.ReadAsync(sector, Buffers.Of(bytes)).AsTask(); });
        Assert.Empty(lower.Requests);
        Assert.Equal(0, disk.Counters.Submitted);
    }

    [Theory]
    [InlineData(1024, 512)]
    [InlineData(0, 0)]
    [InlineData(0, 100)]
    [InlineData(0, (1 << 30) + 512)]
    public void An_invalid_discard_is_rejected_before_it_is_submitted(ulong sector, int bytes)
    {
        var lower = new RecordingDriver();
        var disk = new DiskClassDriver(lower, _crash);
        Assert.Throws<ArgumentOutOfRangeException>(() => { _ = disk.DiscardAsync(sector, bytes).AsTask(); });
        Assert.Empty(lower.Requests);
    }

    [Theory]
    [InlineData(8, 512)]
    [InlineData(4, 4096)]
    [InlineData(8, 4608)]
    public async Task What_is_no_whole_number_of_a_disks_logical_blocks_is_rejected_with_their_size(ulong sector, int bytes)
    {
        var lower = new RecordingDriver { Geometry = new DiskGeometry(1024, 1 << 20, "", false) { LogicalBlockBytes = 4096 } };
        var disk = new DiskClassDriver(lower, _crash);
        var refused = await Assert.ThrowsAsync<ArgumentOutOfRangeException>(async () => await disk.WriteAsync(sector, Buffers.Of(bytes)));
        Assert.Contains("logical blocks of 4096 bytes", refused.Message, StringComparison.Ordinal);
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(async () => await disk.DiscardAsync(sector, bytes));
        Assert.Empty(lower.Requests);
        var write = disk.WriteAsync(8, Buffers.Of(8192));
        Assert.Single(lower.Requests).Complete(BlockStatus.Ok);
        await write;
    }

    [Fact]
    public void A_discard_is_at_most_1_GiB_on_a_disk_of_any_size()
    {
        var lower = new RecordingDriver { Geometry = new(1UL << 40, 1 << 20, "TEST", IsReadOnly: false) };
        var disk = new DiskClassDriver(lower, _crash);
        Assert.Throws<ArgumentOutOfRangeException>(() => { _ = disk.DiscardAsync(0, (1 << 30) + 512).AsTask(); });
        Assert.Throws<ArgumentOutOfRangeException>(() => { _ = disk.WriteZeroesAsync(0, (1 << 20) + 512).AsTask(); });
        _ = disk.DiscardAsync(0, 1 << 30).AsTask();
        _ = disk.WriteZeroesAsync(0, 1 << 20).AsTask();
        Assert.Equal([BlockOperation.Discard, BlockOperation.WriteZeroes], lower.Operations);
    }

    [Fact]
    public async Task Close_waits_for_the_requests_in_flight_and_refuses_later_ones()
    {
        var lower = new RecordingDriver();
        var disk = new DiskClassDriver(lower, _crash);
        var request = disk.FlushAsync().AsTask();
        var closing = new Thread(disk.Close) { IsBackground = true };
        closing.Start();
        Assert.True(SpinWait.SpinUntil(() => IsRefused(disk), TimeSpan.FromSeconds(60)));
        Assert.False(closing.Join(200), "Close returned while a request was in flight");
        foreach (var kept in lower.Requests.ToArray()) kept.Complete(BlockStatus.Ok);
        Assert.True(closing.Join(60_000));
        await request;
        Assert.Equal(0, disk.Counters.InFlight);
    }

    private static bool IsRefused(DiskClassDriver disk)
    {
        try
        {
            _ = disk.FlushAsync().AsTask();
            return false;
        }
        catch (StackRemovedException)
        {
            return true;
        }
    }

    [Fact]
    public async Task A_second_completion_of_a_request_is_counted_and_changes_nothing()
    {
        var lower = new RecordingDriver();
        var disk = new DiskClassDriver(lower, _crash);
        var flush = disk.FlushAsync();
        lower.Requests[0].Complete(BlockStatus.Ok);
        lower.Requests[0].Complete(BlockStatus.IoError);
        await flush;
        Assert.Equal(new BlockCounters(1, 1, 0, 1, 0, 1), disk.Counters);
    }

    [Fact]
    public async Task A_request_allocates_nothing()
    {
        var disk = new DiskClassDriver(new RecordingDriver(completesAtOnce: true) { Operations = { Capacity = 250_000 } }, _crash);
        var buffer = Buffers.Of(4096);
        for (var i = 0; i < 10_000; i++) await disk.ReadAsync(0, buffer);
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 100_000; i++) await disk.ReadAsync(0, buffer);
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    [Fact]
    public void After_a_crash_no_request_leaves_the_class_driver()
    {
        var lower = new RecordingDriver();
        var disk = new DiskClassDriver(lower, _crash);
        Assert.True(_crash.TryRaise());
        Assert.False(_crash.TryRaise());
        new Thread(() => disk.FlushAsync().AsTask().Wait()) { IsBackground = true }.Start();
        Assert.True(SpinWait.SpinUntil(() => _crash.Parked == 1, TimeSpan.FromSeconds(60)));
        Assert.Empty(lower.Requests);
    }
}
