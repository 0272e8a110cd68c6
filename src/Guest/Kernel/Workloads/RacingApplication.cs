using VmShunt.BlockDriver.Memory;
using VmShunt.Guest.Requests;

namespace VmShunt.Guest.Workloads;

/// <summary>
/// Writes the same blocks through two stacks concurrently and checks the result: every sector must hold one writer's
/// content, and both stacks must read the same. Then it writes sequentially: a write submitted to one stack after a write
/// on the other has completed must win.
/// </summary>
/// <param name="one">A stack.</param>
/// <param name="other">Another stack on the same disk.</param>
/// <param name="pages">The allocator of buffers.</param>
/// <param name="firstSector">The first sector of the blocks.</param>
/// <param name="blocks">The number of 4 KiB blocks.</param>
internal sealed class RacingApplication(DiskClassDriver one, DiskClassDriver other, GuestPages pages, ulong firstSector, int blocks)
{
    private const int BlockBytes = 4096, BlockSectors = BlockBytes / DiskClassDriver.SectorBytes;

    private long _wonByOne, _wonByOther, _torn, _foreign, _disagreed, _overtaken;

    /// <summary>The result of a race.</summary>
    /// <param name="WonByOne">Sectors that hold the first stack's write.</param>
    /// <param name="WonByOther">Sectors that hold the second stack's write.</param>
    /// <param name="Torn">Blocks that hold sectors of both.</param>
    /// <param name="Foreign">Sectors with content that neither stack wrote as a whole.</param>
    /// <param name="Disagreed">Blocks that read differently through the two stacks.</param>
    /// <param name="Overtaken">Blocks where the earlier of two sequential writes won.</param>
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

    private Task AllAsync(Func<int, Task[]> submit) => Task.WhenAll(Enumerable.Range(0, blocks).SelectMany(submit));

    private Task Write(DiskClassDriver disk, int block, GuestBuffer from) => disk.WriteAsync(SectorOf(block), Of(from, block)).AsTask();

    private Task Read(DiskClassDriver disk, int block, GuestBuffer into) => disk.ReadAsync(SectorOf(block), Of(into, block)).AsTask();

    private ulong SectorOf(int block) => firstSector + (ulong)(block * BlockSectors);

    private static GuestBuffer Of(GuestBuffer buffer, int block) => buffer.Slice(block * BlockBytes, BlockBytes);

    private static Span<byte> SectorOf(Span<byte> block, int sector) => block.Slice(sector * DiskClassDriver.SectorBytes, DiskClassDriver.SectorBytes);

    // The generation in a sector's pattern identifies its writer.
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
