using VmShunt.BlockDriver;
using VmShunt.EndToEnd.Processes;
using Xunit.Abstractions;

namespace VmShunt.EndToEnd.Disk;

/// <summary>The driver package in this process, on disks of qemu-storage-daemon.</summary>
public sealed class BlockDiskTests(ITestOutputHelper output) : IDisposable
{
    private const int DiskBytes = 8 << 20, PieceBytes = 64 << 10, Pieces = DiskBytes / PieceBytes;

    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [FactIfInstalled("qemu-storage-daemon")]
    public async Task Every_request_type_does_what_it_says()
    {
        string image = _folder.RandomFile("disk.img", DiskBytes), socket = _folder["ring"];
        var model = File.ReadAllBytes(image);
        await using var daemon = await BusOnlyTests.StartDaemonAsync(image, socket);
        await using (var disk = await BlockDisk.ConnectAsync(socket))
        {
            Assert.Equal((DiskBytes, false), (disk.Length, disk.IsReadOnly));
            output.WriteLine($"serial '{disk.Serial}', blocks of {disk.LogicalBlockSize} bytes, {disk.MaxTransferBytes} bytes per request");
            var all = new byte[DiskBytes];
            await disk.ReadAsync(all, 0);
            Assert.True(model.AsSpan().SequenceEqual(all));

            Random.Shared.NextBytes(model.AsSpan(4096, 3 << 20));
            await disk.WriteAsync(model.AsMemory(4096, 3 << 20), 4096);
            model.AsSpan(5 << 20, 2 << 20).Clear();
            await disk.WriteZeroesAsync(5 << 20, 2 << 20);
            await disk.FlushAsync();
            Assert.True(model.AsSpan().SequenceEqual(File.ReadAllBytes(image)));

            await disk.DiscardAsync(0, 1 << 20);
            await disk.ReadAsync(all.AsMemory(1 << 20), 1 << 20);
            Assert.True(model.AsSpan(1 << 20).SequenceEqual(all.AsSpan(1 << 20)));
        }
    }

    [FactIfInstalled("qemu-storage-daemon")]
    public async Task Awaited_and_polled_writes_outlive_a_killed_back_end()
    {
        string image = _folder.RandomFile("disk.img", DiskBytes), socket = _folder["ring"];
        var daemon = await BusOnlyTests.StartDaemonAsync(image, socket);
        try
        {
            await using var disk = await BlockDisk.ConnectAsync(socket, new BlockDiskOptions { PolledQueues = 1, Log = output.WriteLine });
            using var stop = new CancellationTokenSource();
            // The even pieces are awaited, the odd ones polled; each carries the round that wrote it last.
            var awaited = Task.Run(() => AwaitAsync(disk, stop.Token));
            var polled = Task.Factory.StartNew(() => Poll(disk, stop.Token), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
            for (var kill = 1; kill <= 3; kill++)
            {
                ProcessTable.Send(daemon.Id, ProcessTable.SIGKILL);
                await daemon.Ended;
                await daemon.DisposeAsync();
                daemon = await BusOnlyTests.StartDaemonAsync(image, socket);
                var times = kill;
                await Until.TrueAsync(() => disk.Reconnects == times, "the disk reconnects");
            }
            await stop.CancelAsync();
            var rounds = (await awaited.WaitAsync(Until.Patience), await polled.WaitAsync(Until.Patience));
            output.WriteLine($"rounds: {rounds}");
            await disk.FlushAsync();
            var content = File.ReadAllBytes(image);
            for (var piece = 0; piece < Pieces; piece++)
            {
                var round = (byte)(piece % 2 == 0 ? rounds.Item1 : rounds.Item2);
                Assert.True(content.AsSpan(piece * PieceBytes, PieceBytes).IndexOfAnyExcept(round) < 0, $"piece {piece} has what round {round} wrote");
            }
        }
        finally
        {
            await daemon.DisposeAsync();
        }
    }

    private static async Task<int> AwaitAsync(BlockDisk disk, CancellationToken stop)
    {
        using var buffer = disk.Rent(PieceBytes);
        for (var round = 1; ; round++)
        {
            buffer.Span.Fill((byte)round);
            for (var piece = 0; piece < Pieces; piece += 2) await disk.WriteAsync(buffer.Memory, (long)piece * PieceBytes, CancellationToken.None);
            if (stop.IsCancellationRequested) return round;
        }
    }

    private static int Poll(BlockDisk disk, CancellationToken stop)
    {
        using var buffer = disk.Rent(PieceBytes);
        var queue = disk.Queue(0);
        var completions = new Completion[Pieces];
        for (var round = 1; ; round++)
        {
            buffer.Span.Fill((byte)round);
            int next = 1, left = Pieces / 2;
            while (left > 0)
            {
                while (next < Pieces && queue.TryWrite(buffer.Memory, (long)next * PieceBytes, tag: next)) next += 2;
                queue.Submit();
                var count = queue.Poll(completions);
                Assert.All(completions.Take(count), static one => Assert.Equal(BlockStatus.Ok, one.Status));
                left -= count;
                if (count == 0) Thread.Yield();
            }
            if (stop.IsCancellationRequested) return round;
        }
    }
}
