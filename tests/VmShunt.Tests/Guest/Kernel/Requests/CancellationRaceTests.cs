using VmShunt.BlockBackend.Disk;
using VmShunt.BlockDriver;
using VmShunt.BlockDriver.Memory;
using VmShunt.Guest.Requests;
using VmShunt.Guest.Workloads;
using VmShunt.Ring.Memory;
using VmShunt.Ring.Notification;
using VmShunt.Tests.Doubles;
using Xunit.Abstractions;

namespace VmShunt.Tests.Guest.Kernel.Requests;

/// <summary>Requests and batches that are cancelled at random, checked against a model of the content of their blocks.</summary>
public class CancellationRaceTests(ITestOutputHelper output)
{
    private const int Workers = 24, BlocksEach = 8, Rounds = 400, Largest = 8;
    private const byte Untouched = 0xA5;

    [Theory]
    [InlineData(RingLayout.Packed, WaitPolicy.Adaptive, 0)]
    [InlineData(RingLayout.Split, WaitPolicy.Never, 0)]
    [InlineData(RingLayout.Packed, WaitPolicy.Adaptive, 20)]
    [InlineData(RingLayout.Split, WaitPolicy.Adaptive, 20)]
    public async Task A_cancelled_request_changes_nothing_and_every_request_completes_once(RingLayout layout, WaitPolicy wait, int losses)
    {
        var seed = Environment.TickCount;
        output.WriteLine($"seed {seed}");
        using var port = new MemoryPortDriver(1 << 20);
        await using var ring = new RingDisk(port, layout, wait);
        using (var cancellation = new RandomCancellation(Workers, seed))
        {
            var lost = new SharedFlag();
            var all = Task.WhenAll(Enumerable.Range(0, Workers).Select(worker => Task.Run(() => WorkAsync(ring, cancellation, worker, seed, lost))));
            for (var loss = 0; loss < losses && !all.IsCompleted; loss++)
            {
                await Task.Delay(20);
                ring.GoAway();
                await Task.Delay(loss % 4 * 10);
                ring.Return();
            }
            // The rounds may be over before the cancelling thread has run once.
            for (var waits = 0; waits < 6000 && ring.Disk.Counters.Cancelled == 0; waits++) await Task.Delay(10);
            lost.Raise();
            await all.WaitAsync(TimeSpan.FromSeconds(240));
        }
        var counters = ring.Disk.Counters;
        output.WriteLine($"{counters}");
        Assert.Equal((0, 0, 0), (counters.InFlight, counters.Failed, counters.Repeated));
        Assert.InRange(counters.Cancelled, 1, counters.Submitted - 1);
    }

    private static async Task WorkAsync(RingDisk ring, RandomCancellation cancellation, int worker, int seed, SharedFlag lost)
    {
        var random = new Random(seed + worker);
        var buffers = ring.Pages.Allocate(Largest * 512);
        var generations = new byte[BlocksEach];
        var batch = new BlockBatch(ring.Disk, Largest);
        for (var round = 0; round < Rounds || !lost.IsRaised; round++)
        {
            // Half of the rounds start on another thread: the ring's own thread submits without the inbox.
            if (random.Next(2) == 0) await Task.Yield();
            var (blocks, writes) = (Enumerable.Range(0, BlocksEach).OrderBy(_ => random.Next()).Take(random.Next(1, Largest + 1)).ToArray(), random.Next(2) == 0);
            batch.Clear();
            for (var i = 0; i < blocks.Length; i++)
            {
                var buffer = buffers.Slice(i * 512, 512);
                buffer.Span.Fill(writes ? Next(generations[blocks[i]]) : Untouched);
                var sector = (ulong)(worker * BlocksEach + blocks[i]);
                if (writes) batch.Write(sector, buffer);
                else batch.Read(sector, buffer);
            }
            var token = cancellation.TokenOf(worker);
            if (random.Next(2) == 0)
            {
                await batch.SubmitAsync(token);
                for (var i = 0; i < blocks.Length; i++) Check(blocks[i], buffers.Slice(i * 512, 512), batch[i]);
            }
            else
            {
                var (sector, buffer) = ((ulong)(worker * BlocksEach + blocks[0]), buffers.Slice(0, 512));
                Check(blocks[0], buffer, writes ? await ring.Disk.TryWriteAsync(sector, buffer, token) : await ring.Disk.TryReadAsync(sector, buffer, token));
            }

            void Check(int block, GuestBuffer buffer, BlockStatus status)
            {
                var why = $"seed {seed}, worker {worker}, round {round}, block {block}: {status}";
                Assert.True(status is BlockStatus.Ok or BlockStatus.Cancelled, why);
                if (writes && status == BlockStatus.Ok) generations[block] = Next(generations[block]);
                if (!writes) Assert.True(buffer.Span.IndexOfAnyExcept(status == BlockStatus.Ok ? generations[block] : Untouched) < 0, why);
            }
        }
        for (var block = 0; block < BlocksEach; block++)
        {
            var buffer = buffers.Slice(0, 512);
            await ring.Disk.ReadAsync((ulong)(worker * BlocksEach + block), buffer);
            Assert.True(buffer.Span.IndexOfAnyExcept(generations[block]) < 0, $"seed {seed}, worker {worker}, block {block} at the end");
        }
    }

    // Never the byte that an untouched buffer holds.
    private static byte Next(byte generation) => (byte)((generation + 1) % Untouched);
}
