using VmShunt.BlockDriver.Memory;
using VmShunt.Guest.Requests;
using VmShunt.Guest.Workloads;

namespace VmShunt.Guest.Commands.Disk;

/// <summary>Transfers ranges of the disk in chunks, for commands. Blocks the calling thread.</summary>
internal static class DiskTransfer
{
    private const int ChunkBytes = 1 << 20;
    private const int SectorBytes = DiskClassDriver.SectorBytes;

    internal static long Read(DiskClassDriver disk, GuestPages pages, ulong sector, ulong sectors, Stream target)
    {
        CheckRange(disk, sector, sectors);
        return InChunks(disk, pages, sector, sectors, (at, buffer) =>
        {
            Wait(disk.ReadAsync(at, buffer));
            target.Write(buffer.Span);
            DataCopies.Note();
            return true;
        });
    }

    internal static long Write(DiskClassDriver disk, GuestPages pages, ulong sector, Stream source)
    {
        var sectors = ((ulong)source.Length + SectorBytes - 1) / SectorBytes;
        CheckRange(disk, sector, sectors);
        InChunks(disk, pages, sector, sectors, (at, buffer) =>
        {
            var n = source.ReadAtLeast(buffer.Span, buffer.Length, throwOnEndOfStream: false);
            buffer.Span[n..].Clear();
            DataCopies.Note();
            Wait(disk.WriteAsync(at, buffer));
            return true;
        });
        Wait(disk.FlushAsync());
        return source.Length;
    }

    /// <summary>Writes or verifies a pattern.</summary>
    /// <returns>The first sector without the pattern, or null.</returns>
    internal static ulong? Pattern(DiskClassDriver disk, GuestPages pages, ulong sector, ulong sectors, long seed, bool verify)
    {
        CheckRange(disk, sector, sectors);
        ulong? wrong = null;
        InChunks(disk, pages, sector, sectors, (at, buffer) =>
        {
            if (verify) Wait(disk.ReadAsync(at, buffer));
            for (var i = 0; i < buffer.Length / SectorBytes; i++)
            {
                var content = buffer.Slice(i * SectorBytes, SectorBytes).Span;
                if (!verify) BlockPattern.Fill(content, (long)at + i, seed);
                else if (!BlockPattern.Matches(content, (long)at + i, seed)) wrong ??= at + (ulong)i;
            }
            if (!verify) Wait(disk.WriteAsync(at, buffer));
            return wrong is null;
        });
        if (!verify) Wait(disk.FlushAsync());
        return wrong;
    }

    private static long InChunks(DiskClassDriver disk, GuestPages pages, ulong sector, ulong sectors, Func<ulong, GuestBuffer, bool> action)
    {
        var chunk = (ulong)(Math.Min(ChunkBytes, disk.Geometry.MaxTransferBytes) / SectorBytes);
        var memory = pages.Allocate((int)chunk * SectorBytes);
        try
        {
            ulong done = 0;
            while (done < sectors)
            {
                var here = Math.Min(sectors - done, chunk);
                if (!action(sector + done, memory.Slice(0, (int)here * SectorBytes))) break;
                done += here;
            }
            return (long)done * SectorBytes;
        }
        finally
        {
            pages.Free(memory);
        }
    }

    private static void Wait(ValueTask task) => task.AsTask().GetAwaiter().GetResult();

    private static void CheckRange(DiskClassDriver disk, ulong sector, ulong sectors)
    {
        var all = disk.Geometry.SectorCount;
        if (sectors > all || sector > all - sectors)
            throw new ArgumentException($"{sectors} sectors from sector {sector} are not on the disk, which has {all} sectors");
    }
}
