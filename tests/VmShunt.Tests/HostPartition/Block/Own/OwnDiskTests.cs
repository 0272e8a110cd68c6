using VmShunt.BlockBackend;
using VmShunt.BlockBackend.Own;
using VmShunt.Ring.Memory;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.HostPartition.Block.Own;

/// <summary>A disk that derives from the public contract, behind a real ring.</summary>
public sealed class OwnDiskTests
{
    private const int Bytes = 256 << 10, Sector = 512;

    private readonly LogLines _log = new();

    [Fact]
    public void A_disk_with_four_members_serves_every_request_type()
    {
        var disk = new RecordedDisk(Bytes);
        using var server = new BlockServer(disk, new BlockServerOptions { Log = _log });
        using var session = new BlkSession(server.Disk).Start();
        session.Ram(BlkSession.Data, 4 * Sector).Fill(7);
        Assert.Equal(VirtioBlkStatus.Ok, session.Do(VirtioBlkRequestType.Out, 8, 4 * Sector));
        session.Ram(BlkSession.Data, 4 * Sector).Clear();
        Assert.Equal(VirtioBlkStatus.Ok, session.Do(VirtioBlkRequestType.In, 8, 4 * Sector));
        Assert.Equal(-1, session.Ram(BlkSession.Data, 4 * Sector).IndexOfAnyExcept((byte)7));
        Assert.Equal(VirtioBlkStatus.Ok, session.Do(VirtioBlkRequestType.Flush));
        Assert.Equal(VirtioBlkStatus.Ok, session.Range(VirtioBlkRequestType.Discard, new VirtioBlkRange { Sector = 8, SectorCount = 1 }));
        Assert.Equal(VirtioBlkStatus.Ok, session.Range(VirtioBlkRequestType.WriteZeroes, new VirtioBlkRange { Sector = 9, SectorCount = 300 }));
        Assert.Equal(
            ["write 4096+2048", "read 4096+2048", "flush", "discard 4096+512", "write 4608+65536", "write 70144+65536", "write 135680+22528"], disk.Calls);
        Assert.Equal(-1, disk.Data.AsSpan(4608, 300 * Sector).IndexOfAnyExcept((byte)0));
        // Past the end: the disk is not asked.
        Assert.Equal(VirtioBlkStatus.IoError, session.Do(VirtioBlkRequestType.In, Bytes / Sector - 1, 2 * Sector));
        Assert.Equal(7, disk.Calls.Count);
        Assert.Empty(_log.All);
    }

    [Fact]
    public void What_a_disk_throws_fails_that_request_with_one_log_line_and_the_next_succeeds()
    {
        var disk = new RecordedDisk(Bytes);
        using var server = new BlockServer(disk, new BlockServerOptions { Log = _log });
        using var session = new BlkSession(server.Disk).Start();
        disk.Fault = new InvalidOperationException("no medium");
        Assert.Equal(VirtioBlkStatus.IoError, session.Do(VirtioBlkRequestType.In, 2, Sector));
        disk.Fault = new BlockException(BlockStatus.Unsupported);
        Assert.Equal(VirtioBlkStatus.Unsupported, session.Do(VirtioBlkRequestType.Flush));
        Assert.Equal(VirtioBlkStatus.Unsupported, session.Range(VirtioBlkRequestType.Discard, new VirtioBlkRange { Sector = 0, SectorCount = 1 }));
        disk.Fault = null;
        Assert.Equal(VirtioBlkStatus.Ok, session.Do(VirtioBlkRequestType.In, 2, Sector));
        Assert.Equal(["disk RecordedDisk: Read of 512 bytes at offset 1024 threw InvalidOperationException: no medium"], _log.All);
    }

    [Fact]
    public void A_write_to_a_full_disk_waits_for_space_where_that_is_chosen()
    {
        var disk = new RecordedDisk(Bytes) { Fault = new BlockException(BlockStatus.NoSpace) };
        using var server = new BlockServer(disk, new BlockServerOptions { Log = _log, OnFull = NoSpacePolicy.Wait });
        using var session = new BlkSession(server.Disk).Start();
        session.Submit(0, VirtioBlkRequestType.Out, 0, Sector);
        Assert.True(SpinWait.SpinUntil(() => _log.All.Length > 0, 60_000));
        disk.Fault = null;
        Assert.Equal(VirtioBlkStatus.Ok, session.Complete().Status);
    }

    [Fact]
    public void Parts_of_blocks_are_rejected_before_the_disk_is_called()
    {
        var disk = new RecordedDisk(Bytes, blockSize: 4096);
        using var server = new BlockServer(disk, new BlockServerOptions { Log = _log });
        using var session = new BlkSession(server.Disk).Start();
        Assert.Equal(4096u, session.Config.BlockSize);
        Assert.Equal(VirtioBlkStatus.IoError, session.Do(VirtioBlkRequestType.In, 8, Sector));
        Assert.Equal(VirtioBlkStatus.IoError, session.Do(VirtioBlkRequestType.In, 1, 8 * Sector));
        Assert.Equal(VirtioBlkStatus.Ok, session.Do(VirtioBlkRequestType.In, 8, 8 * Sector));
        Assert.Equal(["read 4096+4096"], disk.Calls);
        Assert.Contains("512 bytes at offset 4096, which are no whole blocks of 4096", _log.All[0], StringComparison.Ordinal);
    }

    [Fact]
    public void Pieces_that_split_a_block_go_through_a_private_buffer()
    {
        using var ram = new TestMemory(1 << 20);
        var disk = new RecordedDisk(Bytes);
        Random.Shared.NextBytes(disk.Data);
        var expected = (byte[])disk.Data.Clone();
        using var port = new SpanPort(disk, concurrency: 1, stableWrites: false);
        var pieces = Pieces(ram, (0, 100), (200, 924), (4096, 512));
        port.Read(pieces, 1024);
        Assert.Equal(["read 1024+1536"], disk.Calls);
        byte[] read = [.. ram.Span(TestMemory.Start, 100), .. ram.Span(TestMemory.Start + 200, 924), .. ram.Span(TestMemory.Start + 4096, 512)];
        Assert.Equal(expected[1024..2560], read);
        Array.Clear(disk.Data);
        port.Write(Pieces(ram, (0, 100), (200, 924), (4096, 512)), 1024);
        Assert.Equal(expected[1024..2560], disk.Data[1024..2560]);
        Assert.Equal(2, port.CopiedRequests);
        // Whole blocks are passed piece by piece, uncopied.
        port.Read(Pieces(ram, (0, 512), (4096, 1024)), 0);
        Assert.Equal(["read 0+512", "read 512+1024"], disk.Calls[2..]);
        Assert.Equal(2, port.CopiedRequests);
    }

    [Fact]
    public void Stable_writes_are_private_copies()
    {
        using var ram = new TestMemory(1 << 20);
        var disk = new RecordedDisk(Bytes);
        disk.During = () => ram.Span(TestMemory.Start, 512).Fill(9);
        using var port = new SpanPort(disk, concurrency: 1, stableWrites: true);
        ram.Span(TestMemory.Start, 512).Fill(5);
        port.Write(Pieces(ram, (0, 512)), 0);
        Assert.Equal(-1, disk.Data.AsSpan(0, 512).IndexOfAnyExcept((byte)5));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void No_more_calls_run_at_once_than_chosen(int concurrency)
    {
        using var ram = new TestMemory(1 << 20);
        using var bothInside = new Barrier(2);
        var disk = new RecordedDisk(Bytes);
        // With one call at a time the second one never arrives.
        disk.During = () => bothInside.SignalAndWait(concurrency == 1 ? 20 : 60_000);
        using var port = new SpanPort(disk, concurrency, stableWrites: false);
        Parallel.For(0, 2, new ParallelOptions { MaxDegreeOfParallelism = 2 }, i => port.Read(Pieces(ram, (i * 4096, 512)), 0));
        Assert.Equal(concurrency, disk.MostAtOnce);
    }

    [Fact]
    public void A_new_length_reaches_the_guest_and_an_invalid_one_does_not()
    {
        var disk = new RecordedDisk(Bytes) { ReportedLength = Bytes / 2 };
        using var server = new BlockServer(disk, new BlockServerOptions { Log = _log });
        using var session = new BlkSession(server.Disk).Start();
        Assert.Equal(Bytes / 2 / Sector, (int)session.Config.Capacity);
        disk.ReportedLength = Bytes;
        disk.NotifyLengthChanged();
        Assert.Equal(Bytes / Sector, (int)session.Config.Capacity);
        disk.ReportedLength = 1000;
        disk.NotifyLengthChanged();
        Assert.Equal(Bytes / Sector, (int)session.Config.Capacity);
        Assert.Contains("a positive multiple of its LogicalBlockSize, 512, is needed", _log.All[^1], StringComparison.Ordinal);
    }

    [Fact]
    public void A_request_allocates_nothing()
    {
        using var ram = new TestMemory(1 << 20);
        var disk = new QuietDisk();
        using var port = new SpanPort(disk, concurrency: 1, stableWrites: false);
        IoVectors whole = Pieces(ram, (0, 4096)), split = Pieces(ram, (0, 100), (200, 412));
        var before = 0L;
        for (var i = 0; i < 2000; i++)
        {
            if (i == 1000) before = GC.GetAllocatedBytesForCurrentThread();
            port.Read(whole, 0);
            port.Write(whole, 4096);
            split.Clear();
            Assert.True(ram.Memory.TryAppend(TestMemory.Start, 100, true, split) && ram.Memory.TryAppend(TestMemory.Start + 200, 412, true, split));
            port.Read(split, 0);
        }
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    private static IoVectors Pieces(TestMemory ram, params ReadOnlySpan<(int At, int Bytes)> pieces)
    {
        var list = new IoVectors();
        foreach (var (at, bytes) in pieces) Assert.True(ram.Memory.TryAppend(TestMemory.Start + (ulong)at, (ulong)bytes, deviceWrites: true, list));
        return list;
    }

    private sealed class QuietDisk : BlockDevice
    {
        public override long Length => Bytes;

        public override void Read(Span<byte> destination, long offset) => destination.Fill(1);

        public override void Write(ReadOnlySpan<byte> source, long offset)
        {
        }

        public override void Flush()
        {
        }
    }
}
