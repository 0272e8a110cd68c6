using VmShunt.BlockDriver.Memory;
using VmShunt.Guest.Requests;
using VmShunt.Ring.Memory;

namespace VmShunt.Tests.Guest.Kernel.Emulating;

/// <summary>
/// Concurrent writers, each on sectors of its own, that read back and compare what they wrote while the test changes
/// something below them. Every request must complete once and without an error.
/// </summary>
internal sealed class PortLoad(DiskClassDriver disk, GuestPages pages)
{
    private const int Writers = 12, SectorsPerWriter = 16;

    private readonly SharedFlag _stop = new();

    /// <summary>Runs the load until an action has returned; the action's argument is a random seed.</summary>
    internal async Task RunWhile(Action<int> action)
    {
        var seed = Environment.TickCount;
        var before = disk.Counters;
        var writers = Enumerable.Range(0, Writers).Select(i => Task.Run(() => WriteAndCompare(i, seed))).ToArray();
        try
        {
            await Task.Factory.StartNew(() => action(seed), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        }
        finally
        {
            _stop.Raise();
        }
        var rounds = await Task.WhenAll(writers).WaitAsync(TimeSpan.FromSeconds(120));
        // The last request completed on a thread that the test may have to wait for.
        await Task.Yield();
        var after = disk.Counters;
        Assert.True(
            (after.InFlight, after.Failed - before.Failed, after.Repeated - before.Repeated) == (0, 0, 0)
            && after.Completed - before.Completed >= rounds.Sum() * 3L && rounds.All(static r => r > 0),
            $"seed {seed}: {after} after {before}, rounds {string.Join(' ', rounds)}");
    }

    private async Task<int> WriteAndCompare(int writer, int seed)
    {
        try
        {
            return await Write(writer, seed);
        }
        catch (BlockIoException e)
        {
            Assert.Fail($"seed {seed}: writer {writer}: {e}");
            throw;
        }
    }

    private async Task<int> Write(int writer, int seed)
    {
        var random = new Random(seed + writer);
        var (write, read) = (pages.Allocate(4096), pages.Allocate(4096));
        var rounds = 0;
        while (!_stop.IsRaised || rounds == 0)
        {
            var sectors = random.Next(1, 9);
            var sector = (ulong)(writer * SectorsPerWriter + random.Next(SectorsPerWriter - sectors + 1));
            var (source, target) = (write.Slice(0, sectors * 512), read.Slice(0, sectors * 512));
            random.NextBytes(source.Span);
            await disk.WriteAsync(sector, source);
            if (random.Next(4) == 0) await disk.FlushAsync();
            target.Span.Clear();
            await disk.ReadAsync(sector, target);
            Assert.True(source.Span.SequenceEqual(target.Span), $"seed {seed}: writer {writer}, sector {sector}, round {rounds} reads back other data");
            await disk.FlushAsync();
            rounds++;
        }
        return rounds;
    }
}
