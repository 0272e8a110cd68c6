using Microsoft.Extensions.Logging.Abstractions;
using VmShunt.BlockBackend.Disk;
using VmShunt.BlockBackend.VirtioBlk;
using VmShunt.BlockBackend.VirtioBlk.Serving;
using VmShunt.Ring.Notification;
using VmShunt.Ring.Serving;
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

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_device_of_any_type_is_logged_if_it_says_that_it_is_migratable(bool isPacked)
    {
        if (isPacked) RunFiller(ram => Packed(ram, eventIndex: false), VirtioBlkFeatures.PackedRing);
        else RunFiller(ram => Split(ram, eventIndex: false), 0);
    }

    [Fact]
    public void Nothing_is_logged_before_and_after()
    {
        using var port = new GatedPortDriver(1 << 20);
        using var disk = new Disk(port);
        using var guest = new MigratingGuest<SplitDriverQueue>(disk.Served, ram => Split(ram, eventIndex: false), VirtioBlkFeatures.Flush);
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

    [Fact]
    public void A_source_releases_its_image_when_the_rings_of_a_migrating_guest_stop()
    {
        using var file = new DiskImage(1 << 20);
        using var disk = new Disk(FilePortDriver.Open(file.Path, readOnly: false, direct: false, NullLogger.Instance));
        using var guest = new MigratingGuest<SplitDriverQueue>(disk.Served, ram => Split(ram, eventIndex: false), VirtioBlkFeatures.Flush);
        var position = guest.Stop();
        Assert.False(IsFree());
        guest.Restart(position);
        guest.StartLog();
        Assert.False(IsFree());
        position = guest.Stop();
        Assert.True(SpinWait.SpinUntil(IsFree, 60_000), "the image is not released");
        // The guest is continued here.
        guest.Restart(position);
        guest.Submit(0, VirtioBlkRequestType.In, 4096, new Random(1));
        guest.Await(1);
        Assert.False(IsFree());

        bool IsFree()
        {
            try
            {
                FilePortDriver.Open(file.Path, readOnly: false, direct: false, NullLogger.Instance).Dispose();
                return true;
            }
            catch (IOException)
            {
                return false;
            }
        }
    }

    [Theory]
    [InlineData(0, true, "size 0")]
    [InlineData(12, true, "multiples of 8")]
    [InlineData(1 << 30, true, "ends at byte")]
    [InlineData(4096, false, "no descriptor")]
    public void A_log_that_cannot_be_used_ends_the_session(int bytes, bool hasFile, string why)
    {
        using var disk = new Disk(new GatedPortDriver(1 << 20));
        string? end;
        using (var guest = new MigratingGuest<SplitDriverQueue>(disk.Served, ram => Split(ram, eventIndex: false), 0))
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
        using var disk = new Disk(port);
        using var guest = new MigratingGuest<TQueue>(disk.Served, queue, features | VirtioBlkFeatures.Flush);
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

    /// <summary>A virtio-blk device over a port driver, which it owns.</summary>
    private sealed class Disk : IDisposable
    {
        private static readonly PollGroups s_none = new(0, WaitPolicy.Never);

        private readonly VirtualizationDriver _disk;
        private readonly VirtioBlkDevice _device;

        internal Disk(PortDriver port)
        {
            _disk = new VirtualizationDriver(new HostClassDriver(port, NullLogger.Instance), "LOG", 512);
            _device = new VirtioBlkDevice(_disk, 1, 128);
            Served = new VhostUserBlkDevice(_device, 1, 128, WaitPolicy.Never, s_none, NullLogger.Instance);
        }

        internal VhostUserBlkDevice Served { get; }

        public void Dispose()
        {
            _device.Dispose();
            _disk.Dispose();
        }
    }

    /// <summary>A device of another type: it fills every writable buffer.</summary>
    private sealed class Filler : VirtioDevice
    {
        public override VirtioDeviceType Type => VirtioDeviceType.Entropy;

        public override bool IsMigratable => true;

        internal SemaphoreSlim Entered { get; } = new(0);

        internal SemaphoreSlim Gate { get; } = new(0);

        public override void Serve(Virtqueue queue)
        {
            while (queue.TryTake(out var chain))
            {
                Entered.Release();
                Gate.Wait();
                var written = 0;
                foreach (var piece in chain.Writable)
                {
                    piece.Fill(0xAA);
                    written += piece.Length;
                }
                queue.Return(chain, written);
            }
        }
    }

    private readonly struct OpenGate(GatedPortDriver port) : IDisposable
    {
        public void Dispose() => port.Open(1000);
    }

    private static void RunFiller<TQueue>(Func<TestMemory, TQueue> queue, VirtioBlkFeatures features) where TQueue : struct, IDriverQueue
    {
        var filler = new Filler();
        using var endpoint = new VirtioEndpoint(filler, WaitPolicy.Never, static _ => { }, static _ => { });
        using var guest = new MigratingGuest<TQueue>(endpoint, queue, features);
        var random = new Random(1);
        guest.StartLog();
        guest.Scramble(random);
        guest.Submit(0, VirtioBlkRequestType.In, 16384, random);
        Assert.True(filler.Entered.Wait(60_000));
        guest.CopyAll();
        filler.Gate.Release();
        guest.Await(1);
        guest.Stop();
        guest.CopyDirty();
        Assert.Empty(guest.Differences());
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
