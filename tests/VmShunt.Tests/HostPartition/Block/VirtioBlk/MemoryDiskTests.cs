using Microsoft.Extensions.Logging.Abstractions;
using VmShunt.BlockBackend.Disk;
using VmShunt.Ring.Memory;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.HostPartition.Block.VirtioBlk;

/// <summary>A disk in memory, where the data of a read is prefetched while the data of the previous one is copied.</summary>
public sealed class MemoryDiskTests
{
    private const int Sector = 512, AtOnce = 5, Tail = 100;
    private const ulong WholeSectors = 2048;

    [Fact]
    public void Batched_requests_complete_in_order_and_as_a_model_predicts()
    {
        var seed = Environment.TickCount;
        var random = new Random(seed);
        var port = new MemoryPortDriver((long)WholeSectors * Sector + Tail);
        using var disk = new VirtualizationDriver(new HostClassDriver(port, NullLogger.Instance), "SERIAL", Sector);
        using var session = new BlkSession(disk).Start();
        var model = new byte[(WholeSectors + 1) * Sector];
        for (var round = 0; round < 400; round++)
        {
            // They may overlap: with IN_ORDER the ring executes them one after the other.
            var requests = new (bool Write, int At, byte[] Data)[AtOnce];
            for (ushort token = 0; token < AtOnce; token++)
            {
                var (sector, sectors) = (random.Next((int)WholeSectors - 40), random.Next(1, 41));
                requests[token] = (random.Next(3) == 0, sector * Sector, new byte[sectors * Sector]);
                if (requests[token].Write)
                {
                    random.NextBytes(requests[token].Data);
                    requests[token].Data.CopyTo(Ram(session, token, sectors * Sector));
                }
                session.Submit(token, requests[token].Write ? VirtioBlkRequestType.Out : VirtioBlkRequestType.In, (ulong)sector, sectors * Sector);
            }
            for (ushort token = 0; token < AtOnce; token++)
            {
                var (write, at, data) = requests[token];
                Assert.Equal((token, VirtioBlkStatus.Ok, write ? 1u : (uint)data.Length + 1), session.Complete());
                if (write) data.CopyTo(model, at);
                else Assert.True(Ram(session, token, data.Length).SequenceEqual(model.AsSpan(at, data.Length)), $"round {round}, seed {seed}");
            }
        }
    }

    [Fact]
    public void The_part_of_the_last_sector_past_the_end_of_a_memory_disk_stays_zero()
    {
        var port = new MemoryPortDriver((long)WholeSectors * Sector + Tail);
        using var disk = new VirtualizationDriver(new HostClassDriver(port, NullLogger.Instance), "SERIAL", Sector);
        using var session = new BlkSession(disk).Start();
        Ram(session, 0, Sector).Fill(7);
        Assert.Equal(VirtioBlkStatus.Ok, session.Do(VirtioBlkRequestType.Out, WholeSectors, Sector));
        Ram(session, 0, 2 * Sector).Fill(9);
        Assert.Equal(VirtioBlkStatus.Ok, session.Do(VirtioBlkRequestType.In, WholeSectors - 1, 2 * Sector));
        byte[] expected = [.. new byte[Sector], .. Enumerable.Repeat((byte)7, Tail), .. new byte[Sector - Tail]];
        Assert.Equal(expected, Ram(session, 0, 2 * Sector));
        Assert.Equal(VirtioBlkStatus.IoError, session.Do(VirtioBlkRequestType.In, WholeSectors, 2 * Sector));
    }

    [Fact]
    public void A_memory_disk_allocates_written_ranges_only_and_frees_discarded_ones()
    {
        const int large = PrivateMemory.LargePageBytes, largeSectors = large / Sector;
        using var port = new MemoryPortDriver(1L << 40);
        using var disk = new VirtualizationDriver(new HostClassDriver(port, NullLogger.Instance), "SERIAL", Sector);
        using var session = new BlkSession(disk).Start();
        var before = ResidentBytes();
        for (var i = 0UL; i < 512; i++)
        {
            Ram(session, 0, 2 * Sector).Fill(9);
            // Half of them cross a page boundary.
            Assert.Equal(VirtioBlkStatus.Ok, session.Do(VirtioBlkRequestType.In, (i + 1) * largeSectors * 3 - i % 2, 2 * Sector));
            Assert.Equal(-1, Ram(session, 0, 2 * Sector).IndexOfAnyExcept((byte)0));
        }
        Assert.InRange(ResidentBytes() - before, long.MinValue, 128 * large);

        // Writes across a page boundary; then discards the first page and half of the second.
        ulong border = 7 * largeSectors;
        Ram(session, 0, 8 * Sector).Fill(5);
        Assert.Equal(VirtioBlkStatus.Ok, session.Do(VirtioBlkRequestType.Out, border - 4, 8 * Sector));
        Assert.Equal(VirtioBlkStatus.Ok, session.Do(VirtioBlkRequestType.Out, border + largeSectors / 2, 8 * Sector));
        var range = new VirtioBlkRange { Sector = border - largeSectors, SectorCount = largeSectors * 3 / 2 };
        Assert.Equal(VirtioBlkStatus.Ok, session.Range(VirtioBlkRequestType.Discard, range));
        Ram(session, 0, 8 * Sector).Fill(9);
        Assert.Equal(VirtioBlkStatus.Ok, session.Do(VirtioBlkRequestType.In, border - 4, 8 * Sector));
        Assert.Equal(-1, Ram(session, 0, 8 * Sector).IndexOfAnyExcept((byte)0));
        Assert.Equal(VirtioBlkStatus.Ok, session.Do(VirtioBlkRequestType.In, border + largeSectors / 2, 8 * Sector));
        Assert.Equal(-1, Ram(session, 0, 8 * Sector).IndexOfAnyExcept((byte)5));

        // A freed page reads as zeros, also after a write to another part of it.
        Assert.Equal(VirtioBlkStatus.Ok, session.Do(VirtioBlkRequestType.Out, border - 64, Sector));
        Assert.Equal(VirtioBlkStatus.Ok, session.Do(VirtioBlkRequestType.In, border - 4, 4 * Sector));
        Assert.Equal(-1, Ram(session, 0, 4 * Sector).IndexOfAnyExcept((byte)0));
    }

    private static long ResidentBytes()
    {
        using var process = System.Diagnostics.Process.GetCurrentProcess();
        return process.WorkingSet64;
    }

    private static Span<byte> Ram(BlkSession session, ushort token, int bytes) => session.Ram(BlkSession.Data + token * 0x1_0000UL, bytes);
}
