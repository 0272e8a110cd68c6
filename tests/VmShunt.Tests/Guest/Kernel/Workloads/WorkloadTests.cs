using System.Security.Cryptography;
using VmShunt.BlockBackend.Disk;
using VmShunt.BlockDriver.Requests;
using VmShunt.Guest.Requests;
using VmShunt.Guest.Workloads;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Guest.Kernel.Workloads;

/// <summary>Workloads over a real ring: what they report is what the disk did.</summary>
public sealed class WorkloadTests : IDisposable
{
    private const int DiskBytes = 4 << 20;

    private readonly RingDisk _ring = new(new MemoryPortDriver(DiskBytes));

    public void Dispose() => _ring.DisposeAsync().AsTask().GetAwaiter().GetResult();

    [Fact]
    public async Task A_load_reports_a_block_that_changes_under_it()
    {
        // Reads only: every block must keep its content.
        var load = VerifiedLoad.Start(_ring.Disk, _ring.Pages, depth: 8, write: false, firstSector: 0, sectors: 512);
        var started = _ring.Disk.Counters.Completed;
        await Task.Run(() => Assert.True(SpinWait.SpinUntil(() => _ring.Disk.Counters.Completed > started + 2000, TimeSpan.FromSeconds(60))));
        var buffer = _ring.Pages.Allocate(512 * 512);
        buffer.Span.Fill(0x5A);
        await Task.Run(() => _ring.Disk.WriteAsync(0, buffer).AsTask());
        var result = await Task.Run(load.Stop);
        load.Dispose();
        Assert.InRange(result.Mismatched, 1, long.MaxValue);
        Assert.Equal((0, 0, 0), (result.Failed, result.Lost, result.Repeated));
    }

    [Fact]
    public async Task A_load_of_writes_and_cancellations_finds_every_block_as_it_left_it()
    {
        var load = VerifiedLoad.Start(_ring.Disk, _ring.Pages, depth: 32, write: true, firstSector: 0, sectors: 4096, cancel: true);
        load.WatchPauses();
        var started = _ring.Disk.Counters.Completed;
        await Task.Run(() => Assert.True(SpinWait.SpinUntil(() => _ring.Disk.Counters.Completed > started + 3000, TimeSpan.FromSeconds(60))));
        load.NoteSwitch(9);
        var result = await Task.Run(load.Stop);
        load.Dispose();
        Assert.Equal((0, 0, 0, 0), (result.Mismatched, result.Failed, result.Lost, result.Repeated));
        Assert.Equal((result.Requests, 9), (result.Completed, result.InFlightAtSwitch));
        Assert.InRange(result.MaxPauseMicroseconds, 1, double.MaxValue);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(16)]
    public async Task A_bench_of_a_number_of_requests_makes_exactly_these(int batch)
    {
        var before = _ring.Disk.Counters;
        var plan = new BenchPlan(BenchOperation.Read, 4096, Depth: 4, Seconds: 1, FirstSector: 8, Sectors: 1024, Requests: 640, Batch: batch);
        var result = await Task.Run(() => Bench.Run(_ring.Disk, _ring.Pages, plan));
        Assert.Equal((640, 640), (result.Requests, _ring.Disk.Counters.Completed - before.Completed));
        Assert.Equal((640, 0.0), (result.Latency.Count, result.CopiesPerRequest));
    }

    [Fact]
    public async Task A_bench_on_a_failing_disk_throws()
    {
        await using var failing = new RingDisk(new FaultyPortDriver(1 << 20));
        var plan = new BenchPlan(BenchOperation.RandRead, 512, Depth: 1, Seconds: 60, FirstSector: 0, Sectors: 1024);
        var failure = await Assert.ThrowsAsync<AggregateException>(() => Task.Run(() => Bench.Run(failing.Disk, failing.Pages, plan)));
        Assert.IsType<BlockIoException>(failure.InnerException);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(1_000_003)]
    [InlineData(DiskBytes)]
    public async Task The_hash_covers_the_bytes_asked_for_and_no_more(int bytes)
    {
        var content = new byte[DiskBytes];
        new Random(5).NextBytes(content);
        var buffer = _ring.Pages.Allocate(DiskBytes);
        content.CopyTo(buffer.Span);
        await Task.Run(() => _ring.Disk.WriteAsync(0, buffer).AsTask());
        _ring.Pages.Free(buffer);
        Assert.Equal(Convert.ToHexStringLower(SHA256.HashData(content.AsSpan(0, bytes))), await Task.Run(() => DiskHash.Of(_ring.Disk, _ring.Pages, bytes)));
    }

    [Fact]
    public async Task Two_writers_of_the_same_blocks_leave_every_sector_whole()
    {
        var other = new DiskClassDriver((IBlockDriver)_ring.Disk, _ring.Crash);
        var race = new RacingApplication(_ring.Disk, other, _ring.Pages, firstSector: 16, blocks: 8);
        var result = await Task.Run(() => race.RunAsync(20));
        Assert.Equal(20 * 8 * 8, result.WonByOne + result.WonByOther);
        Assert.Equal((0, 0, 0), (result.Foreign, result.Disagreed, result.Overtaken));
    }

    [Fact]
    public async Task A_replay_stops_at_a_line_that_is_not_a_request_and_names_it()
    {
        var transcript = new StringWriter();
        var failure = await Task.Run(() => Assert.Throws<ArgumentException>(() => Replay.Run(_ring.Disk, _ring.Pages, ["flush", "", "read 0"], transcript)));
        Assert.Equal("line 3 is not a request: read 0", failure.Message);
        var wrapped = await Task.Run(() => Assert.Throws<AggregateException>(() => Replay.Run(_ring.Disk, _ring.Pages, ["read x 512"], transcript)));
        Assert.Equal("line 1: x is not a number", wrapped.GetBaseException().Message);
    }
}
