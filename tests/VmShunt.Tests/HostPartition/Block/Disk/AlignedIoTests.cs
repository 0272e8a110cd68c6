using Microsoft.Win32.SafeHandles;
using VmShunt.BlockBackend.Disk;
using VmShunt.Ring.Files;
using VmShunt.Ring.Memory;
using VmShunt.Tests.Doubles;
using Xunit.Abstractions;

namespace VmShunt.Tests.HostPartition.Block.Disk;

/// <summary>
/// Direct I/O of any alignment. A file system that accepts blocks of 512 bytes accepts larger ones too, so
/// both are tested on it.
/// </summary>
public sealed class AlignedIoTests(ITestOutputHelper output)
{
    private const int Sector = 512, RamBytes = 4 << 20;

    private static SafeFileHandle OpenDirect(string path, out DirectIo alignment)
    {
        var file = File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
        Assert.True(DirectIo.TryEnable(file, out alignment), $"direct I/O is not possible in {Path.GetTempPath()}");
        return file;
    }

    [Theory]
    [InlineData(512, 1 << 20)]
    [InlineData(512, (1 << 20) + 300)]
    [InlineData(4096, 1 << 20)]
    [InlineData(4096, (1 << 20) + 512)]
    [InlineData(4096, (1 << 20) + 5 * 512 + 77)]
    [InlineData(4096, 700)]
    public void Requests_of_any_alignment_read_and_write_what_they_name_and_nothing_else(int block, int bytes)
    {
        var seed = Random.Shared.Next();
        output.WriteLine($"seed {seed}");
        var random = new Random(seed);
        using var image = new DiskImage(bytes, seed);
        using var file = OpenDirect(image.Path, out var alignment);
        using var io = new AlignedIo(
            file,
            new DirectIo(Math.Max(alignment.MemoryAlignment, Sector), Math.Max(alignment.BlockBytes, block)),
            bytes,
            block > Sector ? File.OpenHandle(image.Path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite) : null);
        // The missing part of the last sector reads as zeros.
        var sectors = (bytes + Sector - 1) / Sector;
        var model = new byte[sectors * Sector];
        image.Content.CopyTo(model, 0);
        long copied = 0;
        for (var round = 0; round < 400; round++)
        {
            var first = random.Next(sectors);
            var count = random.Next(1, Math.Min(sectors - first, random.Next(8) == 0 ? 1500 : 20) + 1);
            var (pieces, isAligned) = Scatter(image, random, count * Sector, out var parts);
            var inModel = model.AsSpan(first * Sector, count * Sector);
            if (random.Next(2) == 0)
            {
                foreach (var (offset, length) in parts) image.Ram(offset, length).Fill(0xEE);
                var read = io.Read(pieces, (long)first * Sector);
                Assert.InRange(read, Math.Min(bytes - (long)first * Sector, count * Sector), count * Sector);
                if (read < count * Sector) pieces.Zero();
                Assert.True(inModel.SequenceEqual(Gather(image, parts)), $"round {round}: read of {count} sectors at {first}");
            }
            else
            {
                foreach (var (offset, length) in parts) random.NextBytes(image.Ram(offset, length));
                Gather(image, parts).CopyTo(inModel);
                io.Write(pieces, (long)first * Sector);
                // The last block of a file is not written directly.
                if (block > Sector && (first + count) * Sector > bytes / block * block) isAligned = false;
            }
            if (!isAligned || first * Sector % block != 0 || count * Sector % block != 0) copied++;
        }
        Assert.Equal(copied, io.CopiedRequests);
        Assert.InRange(new FileInfo(image.Path).Length, bytes, sectors * Sector);
        var held = File.ReadAllBytes(image.Path);
        Assert.True(model.AsSpan(0, held.Length).SequenceEqual(held));

        (IoVectors Pieces, bool IsAligned) Scatter(DiskImage image, Random random, int total, out List<(int Offset, int Bytes)> parts)
        {
            parts = [];
            var aligned = random.Next(2) == 0;
            var unit = aligned ? block : random.Next(3) switch { 0 => 1, 1 => 4, _ => Sector };
            var at = random.Next(16) * 4096 + (aligned ? 0 : unit);
            var isAligned = true;
            for (var left = total; left > 0;)
            {
                var n = Math.Min(left, unit * random.Next(1, Math.Max(2, 64 * 1024 / unit)));
                if (parts.Count > 100) n = left;
                parts.Add((at, n));
                isAligned &= at % Math.Max(Sector, alignment.MemoryAlignment) == 0 && n % block == 0;
                left -= n;
                // Adjacent pieces would become one piece.
                at += n + unit;
                at = aligned ? (at + 4095) / 4096 * 4096 : at;
                Assert.InRange(at, 0, RamBytes);
            }
            return (image.Pieces(true, [.. parts]), isAligned);
        }
    }

    [Fact]
    public void Concurrent_writes_to_sectors_of_one_block_are_all_kept()
    {
        const int block = 4096, blocks = 8, writers = 8, rounds = 200;
        using var image = new DiskImage(blocks * block + Sector, seed: null);
        using var file = OpenDirect(image.Path, out _);
        using var io = new AlignedIo(file, new DirectIo(Sector, block), blocks * block + Sector, File.OpenHandle(image.Path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite));
        // Each writer writes the same sector of every block; the first one also writes the file's tail.
        var threads = Enumerable.Range(0, writers).Select(writer => new Thread(() =>
        {
            for (var round = 1; round <= rounds; round++)
            {
                for (var at = 0; at <= blocks; at++)
                {
                    if (at == blocks && writer > 0) break;
                    var ram = writer * 0x1_0000;
                    image.Ram(ram, Sector).Fill((byte)(writer * 16 + round % 16));
                    io.Write(image.Pieces(false, (ram, Sector)), at * block + writer * Sector);
                }
            }
        })).ToList();
        foreach (var thread in threads) thread.Start();
        foreach (var thread in threads) thread.Join();
        var held = File.ReadAllBytes(image.Path);
        Assert.Equal(blocks * block + Sector, held.Length);
        for (var sector = 0; sector < held.Length / Sector; sector++)
        {
            var expected = (byte)(sector % writers * 16 + rounds % 16);
            Assert.True(held.AsSpan(sector * Sector, Sector).IndexOfAnyExcept(expected) < 0, $"sector {sector}");
        }
    }

    [Theory]
    [InlineData(512)]
    [InlineData(4096)]
    public void WriteZeroes_writes_its_range_and_nothing_else(int block)
    {
        const int bytes = 700_000;
        using var image = new DiskImage(bytes);
        using var file = OpenDirect(image.Path, out _);
        using var io = new AlignedIo(
            file, new DirectIo(Sector, block), bytes, block > Sector ? File.OpenHandle(image.Path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite) : null);
        io.WriteZeroes(3 * Sector, 1200 * Sector);
        io.WriteZeroes(1367 * Sector, Sector);
        image.Content.AsSpan(3 * Sector, 1200 * Sector).Clear();
        image.Content.AsSpan(1367 * Sector).Clear();
        Assert.Equal(image.Content, File.ReadAllBytes(image.Path).AsSpan(0, bytes));
        Assert.Equal(0, io.CopiedRequests);
    }

    [Fact]
    public void An_aligned_request_allocates_nothing_and_neither_does_one_that_bounces()
    {
        using var image = new DiskImage(1 << 20);
        using var file = OpenDirect(image.Path, out _);
        using var io = new AlignedIo(file, new DirectIo(Sector, Sector), 1 << 20, null);
        var pieces = new IoVectors();
        foreach (var shift in (int[])[0, 4])
        {
            Assert.Equal(0, Allocation.OfHundred(() =>
            {
                pieces.Clear();
                image.Memory.TryAppend(TestMemory.Start + (ulong)shift, 4096, true, pieces);
                io.Read(pieces, 8192);
                pieces.Clear();
                image.Memory.TryAppend(TestMemory.Start + (ulong)shift, 4096, true, pieces);
                io.Write(pieces, 8192);
            }));
            Assert.Equal(shift > 0, io.CopiedRequests > 0);
            Assert.Equal(io.CopiedRequests * 4096, io.CopiedBytes);
        }
    }

    private static byte[] Gather(DiskImage image, List<(int Offset, int Bytes)> parts)
    {
        var all = new List<byte>();
        foreach (var (offset, bytes) in parts) all.AddRange(image.Ram(offset, bytes));
        return [.. all];
    }
}
