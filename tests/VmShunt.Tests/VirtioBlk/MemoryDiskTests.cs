using Microsoft.Extensions.Logging.Abstractions;
using VmShunt.HostPartition;
using VmShunt.HostPartition.HardwareStack;
using VmShunt.Ring.VirtioBlk;

namespace VmShunt.Tests.VirtioBlk;

/// <summary>A disk in memory, where the data of one read is fetched while that of the one before is copied.</summary>
public sealed class MemoryDiskTests
{
    private const int Sector = 512, AtOnce = 5, Tail = 100;
    private const ulong WholeSectors = 2048;

    [Fact]
    public void Requests_that_wait_together_end_in_order_and_as_a_model_says()
    {
        var seed = Environment.TickCount;
        var random = new Random(seed);
        var port = new MemoryPortDriver((long)WholeSectors * Sector + Tail);
        using var disk = new VirtualizationDriver(new DiskClassDriver(port, NullLogger.Instance), "SERIAL", Sector);
        using var session = new BlkSession(disk).Start();
        var model = new byte[(WholeSectors + 1) * Sector];
        for (var round = 0; round < 400; round++)
        {
            // They may overlap: one after the other is what a ring promises that keeps its order.
            var asked = new (bool Write, int At, byte[] Data)[AtOnce];
            for (ushort token = 0; token < AtOnce; token++)
            {
                var (sector, sectors) = (random.Next((int)WholeSectors - 40), random.Next(1, 41));
                asked[token] = (random.Next(3) == 0, sector * Sector, new byte[sectors * Sector]);
                if (asked[token].Write)
                {
                    random.NextBytes(asked[token].Data);
                    asked[token].Data.CopyTo(Ram(session, token, sectors * Sector));
                }
                session.Submit(token, asked[token].Write ? VirtioBlkRequestType.Out : VirtioBlkRequestType.In, (ulong)sector, sectors * Sector);
            }
            for (ushort token = 0; token < AtOnce; token++)
            {
                var (write, at, data) = asked[token];
                Assert.Equal((token, VirtioBlkStatus.Ok, write ? 1u : (uint)data.Length + 1), session.Complete());
                if (write) data.CopyTo(model, at);
                else Assert.True(Ram(session, token, data.Length).SequenceEqual(model.AsSpan(at, data.Length)), $"round {round}, seed {seed}");
            }
        }
    }

    [Fact]
    public void What_lies_past_its_end_reads_as_zeros_and_stays_so()
    {
        var port = new MemoryPortDriver((long)WholeSectors * Sector + Tail);
        using var disk = new VirtualizationDriver(new DiskClassDriver(port, NullLogger.Instance), "SERIAL", Sector);
        using var session = new BlkSession(disk).Start();
        Ram(session, 0, Sector).Fill(7);
        Assert.Equal(VirtioBlkStatus.Ok, session.Do(VirtioBlkRequestType.Out, WholeSectors, Sector));
        Ram(session, 0, 2 * Sector).Fill(9);
        Assert.Equal(VirtioBlkStatus.Ok, session.Do(VirtioBlkRequestType.In, WholeSectors - 1, 2 * Sector));
        byte[] expected = [.. new byte[Sector], .. Enumerable.Repeat((byte)7, Tail), .. new byte[Sector - Tail]];
        Assert.Equal(expected, Ram(session, 0, 2 * Sector));
        Assert.Equal(VirtioBlkStatus.IoError, session.Do(VirtioBlkRequestType.In, WholeSectors, 2 * Sector));
    }

    private static Span<byte> Ram(BlkSession session, ushort token, int bytes) => session.Ram(BlkSession.Data + token * 0x1_0000UL, bytes);
}
