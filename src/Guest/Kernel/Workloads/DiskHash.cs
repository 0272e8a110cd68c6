using System.Security.Cryptography;
using VmShunt.BlockDriver.Memory;
using VmShunt.Guest.Requests;

namespace VmShunt.Guest.Workloads;

/// <summary>The SHA-256 of a disk, read through a stack with several reads in flight. Blocks the calling thread.</summary>
internal static class DiskHash
{
    private const int ChunkBytes = 1 << 20;
    private const int ReadsAhead = 4;

    /// <summary>Hashes the first <paramref name="bytes"/> bytes.</summary>
    /// <exception cref="BlockIoException">A read failed.</exception>
    internal static string Of(DiskClassDriver disk, GuestPages pages, long bytes)
    {
        var chunk = Math.Min(ChunkBytes, disk.Geometry.MaxTransferBytes);
        var memory = pages.Allocate(ReadsAhead * chunk);
        try
        {
            using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            var reads = new Queue<(Task Read, GuestBuffer Buffer, int Bytes)>();
            long next = 0;
            var slot = 0;
            while (next < bytes || reads.Count > 0)
            {
                while (next < bytes && reads.Count < ReadsAhead)
                {
                    var here = (int)Math.Min(bytes - next, chunk);
                    var buffer = memory.Slice(slot++ % ReadsAhead * chunk, (here + 511) / 512 * 512);
                    reads.Enqueue((disk.ReadAsync((ulong)next / 512, buffer).AsTask(), buffer, here));
                    next += here;
                }
                var (read, content, length) = reads.Dequeue();
                read.GetAwaiter().GetResult();
                hash.AppendData(content.Span[..length]);
            }
            return Convert.ToHexStringLower(hash.GetHashAndReset());
        }
        finally
        {
            pages.Free(memory);
        }
    }
}
