using System.Security.Cryptography;
using VmShunt.BlockDriver.Memory;
using VmShunt.Guest.Firmware.Partitions;
using VmShunt.Guest.Requests;

namespace VmShunt.Guest.Crash;

/// <summary>Finds, verifies and exports the dump of an earlier crash on the dump partition.</summary>
internal sealed class DumpReader(DiskClassDriver disk, GptPartition partition, GuestPages pages)
{
    private const int ChunkBytes = 1 << 20;

    /// <summary>The result of an export.</summary>
    /// <param name="Bytes">The length of the core.</param>
    /// <param name="Sha256">The hash of the core.</param>
    /// <param name="MemorySha256">The hash of the guest memory in the core.</param>
    /// <param name="Valid">Whether the core matches its checksum.</param>
    internal readonly record struct Export(long Bytes, string Sha256, string MemorySha256, bool Valid);

    /// <summary>Reads the header of the dump.</summary>
    /// <returns>Null without a dump.</returns>
    internal DumpHeader? Find()
    {
        var sector = new byte[DumpHeader.Bytes];
        new DiskSectorReader(disk, pages).ReadSectors(partition.FirstSector, sector);
        return DumpHeader.TryParse(sector, partition.SectorCount, out var header) ? header : null;
    }

    /// <summary>Copies the core to a stream, verifies it, and marks it as saved if it is valid.</summary>
    internal async Task<Export> SaveAsync(DumpHeader header, Stream target)
    {
        var buffer = pages.Allocate(ChunkBytes);
        try
        {
            using var whole = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            using var memory = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            uint crc = 0;
            long headBytes = -1;
            for (long at = 0; at < header.CoreBytes;)
            {
                var here = (int)Math.Min(header.CoreBytes - at, ChunkBytes);
                var sectors = (here + 511) / 512 * 512;
                await disk.ReadAsync(partition.FirstSector + DumpHeader.CoreSector + (ulong)(at / 512), buffer.Slice(0, sectors));
                var bytes = buffer.Span[..here].ToArray();
                if (headBytes < 0) headBytes = ElfCore.MemoryOffset(bytes);
                crc = Crc32C.Append(crc, bytes);
                whole.AppendData(bytes);
                if (at + here > headBytes) memory.AppendData(bytes, (int)Math.Max(0, headBytes - at), here - (int)Math.Max(0, headBytes - at));
                await target.WriteAsync(bytes);
                at += here;
            }
            var valid = crc == header.CoreCrc;
            if (valid) await MarkSavedAsync(header, buffer);
            return new Export(header.CoreBytes, Convert.ToHexStringLower(whole.GetHashAndReset()), Convert.ToHexStringLower(memory.GetHashAndReset()), valid);
        }
        finally
        {
            pages.Free(buffer);
        }
    }

    private async Task MarkSavedAsync(DumpHeader header, GuestBuffer buffer)
    {
        (header with { State = DumpState.Saved }).Format(buffer.Span);
        await disk.WriteAsync(partition.FirstSector, buffer.Slice(0, DumpHeader.Bytes));
        await disk.FlushAsync();
    }
}
