using Microsoft.Extensions.Logging.Abstractions;
using VmShunt.BlockBackend;
using VmShunt.BlockBackend.Disk;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.HostPartition.Block.VirtioBlk.Serving;

/// <summary>Concurrent requests have the same results with every disk engine.</summary>
public sealed class DiskEngineTests
{
    private const int Sector = 512, AtOnce = 5, Band = 400, Tail = 100;
    private const ulong WholeSectors = 2048;

    // Without IN_ORDER requests are concurrent.
    private const VirtioBlkFeatures AnyOrder = BlkSession.Everything & ~VirtioBlkFeatures.InOrder;

    [Theory]
    [InlineData("Auto", true)]
    [InlineData("Auto", false)]
    [InlineData("PRead", true)]
    [InlineData("PRead", false)]
    [InlineData("Mmap", false)]
    [InlineData("Uring", true)]
    [InlineData("Uring", false)]
    [InlineData("Auto", true, false)]
    [InlineData("PRead", false, false)]
    [InlineData("Uring", true, false)]
    [InlineData("Uring", false, false)]
    public void Concurrent_requests_complete_as_a_model_predicts(string engine, bool direct, bool inOrder = true)
    {
        using var image = new DiskImage((long)WholeSectors * Sector + Tail);
        using var disk = Open(image, engine, direct);
        using var session = new BlkSession(disk, inOrder ? BlkSession.Everything : AnyOrder).Start();
        var random = new Random(20261126);
        var model = image.Content.Concat(new byte[Sector - Tail]).ToArray();
        for (var round = 0; round < 200; round++)
        {
            var requests = new (bool Write, int At, int Bytes)[AtOnce];
            for (ushort token = 0; token < AtOnce; token++)
            {
                // Half of them are aligned for direct I/O, so that direct and bounced requests mix. None overlaps another.
                var aligned = random.Next(2) == 0;
                var sector = token * Band + (aligned ? random.Next(Band / 8 - 2) * 8 : random.Next(Band - 16));
                var sectors = aligned ? 8 : random.Next(1, 17);
                requests[token] = (random.Next(4) == 0, sector * Sector, sectors * Sector);
                if (requests[token].Write) random.NextBytes(Ram(session, token, requests[token].Bytes));
                session.Submit(token, requests[token].Write ? VirtioBlkRequestType.Out : VirtioBlkRequestType.In, (ulong)sector, requests[token].Bytes);
            }
            var left = Enumerable.Range(0, AtOnce).ToHashSet();
            for (ushort next = 0; next < AtOnce; next++)
            {
                var (token, status, written) = session.Complete();
                // With IN_ORDER, in the order in which they were made available.
                if (inOrder) Assert.Equal(next, token);
                Assert.True(left.Remove(token), $"request {token} completed twice");
                var (write, at, bytes) = requests[token];
                Assert.Equal((VirtioBlkStatus.Ok, write ? 1u : (uint)bytes + 1), (status, written));
                if (write) Ram(session, token, bytes).CopyTo(model.AsSpan(at));
                else Assert.Equal(model.AsSpan(at, bytes), Ram(session, token, bytes));
            }
        }
        // The file has a part of the last sector.
        session.Submit(0, VirtioBlkRequestType.In, WholeSectors - 7, 8 * Sector);
        Assert.Equal(((ushort)0, VirtioBlkStatus.Ok, 8u * Sector + 1), session.Complete());
        session.Submit(1, VirtioBlkRequestType.In, WholeSectors, 2 * Sector);
        Assert.Equal(((ushort)1, VirtioBlkStatus.IoError, 0u), session.Complete());
        Assert.Equal(model.AsSpan((int)(WholeSectors - 7) * Sector), Ram(session, 0, 8 * Sector));
        Assert.Equal(VirtioBlkStatus.Ok, session.Do(VirtioBlkRequestType.Flush));
        Assert.Equal(model[..image.Content.Length], File.ReadAllBytes(image.Path));
    }

    [Theory]
    [InlineData("Auto", true)]
    [InlineData("PRead", false)]
    [InlineData("Mmap", false)]
    [InlineData("Uring", true)]
    [InlineData("Uring", false)]
    public void Reads_past_the_end_of_a_truncated_file_fail_and_others_succeed(string engine, bool direct)
    {
        using var image = new DiskImage((long)WholeSectors * Sector);
        using var disk = Open(image, engine, direct);
        using var session = new BlkSession(disk).Start();
        using (var file = new FileStream(image.Path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite)) file.SetLength(image.Content.Length / 2);
        for (ushort token = 0; token < AtOnce; token++) session.Submit(token, VirtioBlkRequestType.In, token % 2 == 0 ? 8UL * token : WholeSectors / 2 + 8, 8 * Sector);
        for (ushort token = 0; token < AtOnce; token++)
        {
            var (done, status, _) = session.Complete();
            Assert.Equal((token, token % 2 == 0 ? VirtioBlkStatus.Ok : VirtioBlkStatus.IoError), (done, status));
            if (status == VirtioBlkStatus.Ok) Assert.Equal(image.Content.AsSpan(8 * token * Sector, 8 * Sector), Ram(session, token, 8 * Sector));
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_stopped_ring_has_completed_the_requests_in_flight_and_continues_after_the_next_start(bool direct)
    {
        using var image = new DiskImage((long)WholeSectors * Sector);
        using var disk = Open(image, "Uring", direct);
        using var session = new BlkSession(disk, AnyOrder).Start();
        for (var round = 0; round < 40; round++)
        {
            for (ushort token = 0; token < AtOnce; token++) session.Submit(token, VirtioBlkRequestType.In, (ulong)(token * Band + round * 8), 8 * Sector);
            var left = Enumerable.Range(0, AtOnce).ToHashSet();
            var position = session.Frontend.StopRing(0);
            var notPopped = AtOnce * (round + 1) - (int)position;
            Assert.InRange(notPopped, 0, AtOnce);
            while (left.Count > notPopped)
            {
                Assert.True(session.HasCompletion, $"{left.Count - notPopped} requests were popped and are not completed");
                Complete();
            }
            session.Start(position);
            while (left.Count > 0) Complete();

            void Complete()
            {
                var (token, status, _) = session.Complete();
                Assert.True(left.Remove(token), $"request {token} completed twice");
                Assert.Equal(VirtioBlkStatus.Ok, status);
                Assert.Equal(image.Content.AsSpan((token * Band + round * 8) * Sector, 8 * Sector), Ram(session, token, 8 * Sector));
            }
        }
    }

    private static VirtualizationDriver Open(DiskImage image, string engine, bool direct)
    {
        var port = FilePortDriver.Open(image.Path, readOnly: false, direct, NullLogger.Instance, Enum.Parse<DiskEngine>(engine));
        return new VirtualizationDriver(new HostClassDriver(port, NullLogger.Instance), "SERIAL", Sector);
    }

    private static Span<byte> Ram(BlkSession session, ushort token, int bytes) => session.Ram(BlkSession.Data + token * 0x1_0000UL, bytes);
}
