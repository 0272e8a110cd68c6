using VmShunt.BlockDriver.Memory;
using VmShunt.BlockDriver.Requests;

namespace VmShunt.Guest.Workloads;

/// <summary>
/// Writes the same blocks through two stacks at once, and looks at what is there: of every sector one writer's content
/// whole, the same through either stack. Then in turns: what one stack has completed, the other's next write is after.
/// </summary>
/// <param name="one">A stack.</param>
/// <param name="other">Another stack on the same disk.</param>
/// <param name="pages">Where buffers come from.</param>
/// <param name="firstSector">Where the blocks are.</param>
/// <param name="blocks">How many there are, of 4 KiB each.</param>
internal sealed class RacingApplication(DiskClassDriver one, DiskClassDriver other, GuestPages pages, ulong firstSector, int blocks)
{
    private const int BlockBytes = 4096, BlockSectors = BlockBytes / DiskClassDriver.SectorBytes;

    private long _wonByOne, _wonByOther, _torn, _foreign, _disagreed, _overtaken;

    /// <summary>What a race came to.</summary>
    /// <param name="WonByOne">Sectors that hold the first stack's write.</param>
    /// <param name="WonByOther">Sectors that hold the second stack's write.</param>
    /// <param name="Torn">Blocks that hold sectors of both.</param>
    /// <param name="Foreign">Sectors that hold what neither wrote, or only in part.</param>
    /// <param name="Disagreed">Blocks that read differently through the two stacks.</param>
    /// <param name="Overtaken">Blocks where a write that was completed before another was begun came after it.</param>
    internal readonly record struct Result(long WonByOne, long WonByOther, long Torn, long Foreign, long Disagreed, long Overtaken);

    internal async Task<Result> RunAsync(int rounds)
    {
        GuestBuffer mine = pages.Allocate(blocks * BlockBytes), its = pages.Allocate(blocks * BlockBytes);
        try
        {
            for (var round = 0; round < rounds; round++)
            {
                long generation = 2 * round, itsGeneration = generation + 1;
                Fill(mine, generation);
                Fill(its, itsGeneration);
                await AllAsync(block => [Write(one, block, mine), Write(other, block, its)]);
                await AllAsync(block => [Read(one, block, mine), Read(other, block, its)]);
                for (var block = 0; block < blocks; block++) Judge(Of(mine, block).Span, Of(its, block).Span, block, generation, itsGeneration);

                var (first, second) = round % 2 == 0 ? (one, other) : (other, one);
                Fill(mine, generation);
                Fill(its, itsGeneration);
                await AllAsync(block => [Write(first, block, mine)]);
                await AllAsync(block => [Write(second, block, its)]);
                await AllAsync(block => [Read(first, block, mine)]);
                for (var block = 0; block < blocks; block++)
                    if (!Of(mine, block).Span.SequenceEqual(Of(its, block).Span)) _overtaken++;
            }
            return new Result(_wonByOne, _wonByOther, _torn, _foreign, _disagreed, _overtaken);
        }
        finally
        {
            pages.Free(mine);
            pages.Free(its);
        }
    }

    private Task AllAsync(Func<int, Task[]> begin) => Task.WhenAll(Enumerable.Range(0, blocks).SelectMany(begin));

    private Task Write(DiskClassDriver disk, int block, GuestBuffer from) => disk.WriteAsync(SectorOf(block), Of(from, block)).AsTask();

    private Task Read(DiskClassDriver disk, int block, GuestBuffer into) => disk.ReadAsync(SectorOf(block), Of(into, block)).AsTask();

    private ulong SectorOf(int block) => firstSector + (ulong)(block * BlockSectors);

    private static GuestBuffer Of(GuestBuffer buffer, int block) => buffer.Slice(block * BlockBytes, BlockBytes);

    private static Span<byte> SectorOf(Span<byte> block, int sector) => block.Slice(sector * DiskClassDriver.SectorBytes, DiskClassDriver.SectorBytes);

    // A sector says whose it is: its number on the disk, and the writer's generation.
    private void Fill(GuestBuffer buffer, long generation)
    {
        for (var sector = 0; sector < blocks * BlockSectors; sector++) BlockPattern.Fill(SectorOf(buffer.Span, sector), sector, generation);
    }

    private void Judge(Span<byte> throughOne, Span<byte> throughOther, int block, long generation, long itsGeneration)
    {
        if (!throughOne.SequenceEqual(throughOther)) _disagreed++;
        var (first, second) = (0, 0);
        for (var i = 0; i < BlockSectors; i++)
        {
            var content = SectorOf(throughOne, i);
            var number = block * BlockSectors + i;
            if (BlockPattern.Matches(content, number, generation)) first++;
            else if (BlockPattern.Matches(content, number, itsGeneration)) second++;
            else _foreign++;
        }
        _wonByOne += first;
        _wonByOther += second;
        if (first > 0 && second > 0) _torn++;
    }
}
