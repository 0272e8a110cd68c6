using Microsoft.Extensions.Logging.Abstractions;
using VmShunt.BlockBackend.Disk;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Ring.Virtqueue;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.HostPartition.Block.VirtioBlk.Serving;

/// <summary>
/// While its guest migrates, everything that the device writes into the guest's memory is in the dirty log; otherwise nothing
/// is (vhost-user, "Migration").
/// </summary>
public sealed class DirtyLoggingTests
{
    private const int Rounds = 12, MostRequests = 4;

    [Theory]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public void Copies_of_the_logged_pages_equal_the_memory(bool isPacked, bool eventIndex)
    {
        var features = (eventIndex ? VirtioBlkFeatures.EventIndex : 0) | (isPacked ? VirtioBlkFeatures.PackedRing : 0);
        if (isPacked) Run(ram => Packed(ram, eventIndex), features);
        else Run(ram => Split(ram, eventIndex), features);
    }

    [Fact]
    public void Nothing_is_logged_before_and_after()
    {
        using var port = new GatedPortDriver(1 << 20);
        using var disk = new VirtualizationDriver(new HostClassDriver(port, NullLogger.Instance), "LOG", 512);
        using var guest = new MigratingGuest<SplitDriverQueue>(disk, ram => Split(ram, eventIndex: false), 0);
        var random = new Random(1);
        Read();
        Assert.Empty(guest.TakeLog());
        guest.StartLog();
        Read();
        Assert.NotEmpty(guest.TakeLog());
        guest.StopLog();
        _ = guest.TakeLog();
        Read();
        Assert.Empty(guest.TakeLog());

        void Read()
        {
            port.Open();
            guest.Submit(0, VirtioBlkRequestType.In, 4096, random);
            guest.Await(1);
        }
    }

    [Theory]
    [InlineData(0, true, "size 0")]
    [InlineData(12, true, "multiples of 8")]
    [InlineData(1 << 30, true, "ends at byte")]
    [InlineData(4096, false, "no descriptor")]
    public void A_log_that_cannot_be_used_ends_the_session(int bytes, bool hasFile, string why)
    {
        using var disk = new VirtualizationDriver(new HostClassDriver(new GatedPortDriver(1 << 20), NullLogger.Instance), "LOG", 512);
        string? end;
        using (var guest = new MigratingGuest<SplitDriverQueue>(disk, ram => Split(ram, eventIndex: false), 0))
        {
            if (hasFile) guest.SetLogBase((ulong)bytes, guest.LogFile);
            else guest.SetLogBase((ulong)bytes);
            Assert.False(guest.Frontend.Receive());
            end = guest.End;
        }
        Assert.Contains(why, end, StringComparison.Ordinal);
    }

    private static void Run<TQueue>(Func<TestMemory, TQueue> queue, VirtioBlkFeatures features) where TQueue : struct, IDriverQueue
    {
        var seed = Random.Shared.Next();
        var random = new Random(seed);
        using var port = new GatedPortDriver(1 << 20);
        using var disk = new VirtualizationDriver(new HostClassDriver(port, NullLogger.Instance), "LOG", 512);
        using var guest = new MigratingGuest<TQueue>(disk, queue, features);
        guest.StartLog();
        // A test that fails must not wait for the gate.
        using var opened = new OpenGate(port);
        for (var round = 0; round < Rounds; round++)
        {
            guest.Scramble(random);
            var requests = random.Next(1, MostRequests + 1);
            // The first request holds the ring's thread at the gate while the whole memory is copied. The driver writes nothing
            // after that: what differs at the end is what the device wrote and did not log.
            guest.Submit(0, VirtioBlkRequestType.In, Bytes(random), random);
            var onDisk = 1;
            for (var i = 1; i < requests; i++)
            {
                var type = random.Next(4) switch { 0 => VirtioBlkRequestType.Out, 1 => VirtioBlkRequestType.GetId, _ => VirtioBlkRequestType.In };
                guest.Submit((ushort)i, type, type == VirtioBlkRequestType.GetId ? 20 : Bytes(random), random);
                if (type != VirtioBlkRequestType.GetId) onDisk++;
            }
            port.AwaitOperation();
            guest.CopyAll();
            port.Open(onDisk);
            guest.Await(requests);
            for (var i = 1; i < onDisk; i++) port.AwaitOperation();
            if (random.Next(2) == 0) guest.CopyDirty();
            var position = guest.Stop();
            guest.CopyDirty();
            var differences = guest.Differences();
            Assert.True(differences.Count == 0, $"seed {seed}, round {round}: pages {string.Join(", ", differences)} were written and not logged");
            guest.Restart(position);
        }
    }

    private readonly struct OpenGate(GatedPortDriver port) : IDisposable
    {
        public void Dispose() => port.Open(1000);
    }

    private static int Bytes(Random random) => 512 * random.Next(1, 33);

    private static SplitDriverQueue Split(TestMemory ram, bool eventIndex) => new(
        new SplitAreas(
            ram.Window(MigratingGuest<SplitDriverQueue>.Descriptors, SplitLayout.DescriptorBytes(MigratingGuest<SplitDriverQueue>.QueueSize)),
            ram.Window(MigratingGuest<SplitDriverQueue>.Driver, SplitLayout.AvailableBytes(MigratingGuest<SplitDriverQueue>.QueueSize)),
            ram.Window(MigratingGuest<SplitDriverQueue>.Device, SplitLayout.UsedBytes(MigratingGuest<SplitDriverQueue>.QueueSize))),
        MigratingGuest<SplitDriverQueue>.QueueSize, eventIndex);

    private static PackedDriverQueue Packed(TestMemory ram, bool eventIndex) => new(
        new PackedAreas(
            ram.Window(MigratingGuest<PackedDriverQueue>.Descriptors, PackedLayout.DescriptorBytes(MigratingGuest<PackedDriverQueue>.QueueSize)),
            ram.Window(MigratingGuest<PackedDriverQueue>.Driver, PackedLayout.EventBytes),
            ram.Window(MigratingGuest<PackedDriverQueue>.Device, PackedLayout.EventBytes)),
        MigratingGuest<PackedDriverQueue>.QueueSize, eventIndex);
}
