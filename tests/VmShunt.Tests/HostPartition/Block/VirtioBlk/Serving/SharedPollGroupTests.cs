using Microsoft.Extensions.Logging.Abstractions;
using VmShunt.BlockBackend.Disk;
using VmShunt.Ring.Notification;
using VmShunt.Ring.Serving;
using VmShunt.Ring.VhostUser;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Ring.Virtqueue;
using VmShunt.Tests.Doubles;
using VmShunt.Tests.Hostile;

namespace VmShunt.Tests.HostPartition.Block.VirtioBlk.Serving;

/// <summary>Guests whose rings are in one poll group: none disturbs another.</summary>
public sealed class SharedPollGroupTests
{
    private const int Guests = 16, SectorsEach = 2048, Rounds = 250;

    // Longer than a poll group executes itself.
    private const int LongBytes = 300 << 10;

    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);

    [Theory]
    [InlineData("adaptive", 1)]
    [InlineData("never", 1)]
    [InlineData("never", 2)]
    [InlineData("busy", 1)]
    public async Task Each_of_many_guests_reads_what_it_wrote_while_others_reconnect_restart_and_send_long_requests(string policy, int pollers)
    {
        var seed = Random.Shared.Next();
        using var disk = new VirtualizationDriver(new HostClassDriver(new MemoryPortDriver((Guests + 1) * SectorsEach * 512L), NullLogger.Instance), "S", 512);
        using var shared = new PollGroups(pollers, Enum.Parse<WaitPolicy>(policy, ignoreCase: true));
        var guests = Enumerable.Range(0, Guests).Select(i => Task.Factory.StartNew(() => Use(disk, shared, i, seed + i), TaskCreationOptions.LongRunning));
        await Task.WhenAll(guests).WaitAsync(4 * s_patience);
    }

    /// <summary>Writes and reads its own range at random, against a model; stops, starts and reconnects in between.</summary>
    private static void Use(VirtualizationDriver disk, PollGroups pollers, int guest, int seed)
    {
        var random = new Random(seed);
        var model = new byte[SectorsEach * 512];
        var session = new BlkSession(disk, pollers: pollers).Start();
        try
        {
            for (var round = 0; round < Rounds; round++)
            {
                var isLong = random.Next(25) == 0;
                var sectors = isLong ? LongBytes / 512 : 1 + random.Next(32);
                var at = random.Next(SectorsEach - sectors);
                var sector = (ulong)(guest * SectorsEach + at);
                var mine = model.AsSpan(at * 512, sectors * 512);
                var data = session.Ram(BlkSession.Data, sectors * 512);
                switch (random.Next(4))
                {
                    case 0:
                        random.NextBytes(mine);
                        mine.CopyTo(data);
                        Assert.Equal(VirtioBlkStatus.Ok, session.Do(VirtioBlkRequestType.Out, sector, mine.Length));
                        break;
                    case 1:
                        mine.Clear();
                        Assert.Equal(VirtioBlkStatus.Ok, session.Range(VirtioBlkRequestType.WriteZeroes, new VirtioBlkRange { Sector = sector, SectorCount = (uint)sectors }));
                        break;
                    default:
                        data.Fill(0xcc);
                        Assert.Equal(VirtioBlkStatus.Ok, session.Do(VirtioBlkRequestType.In, sector, mine.Length));
                        Assert.True(mine.SequenceEqual(data), $"guest {guest} reads other data in round {round} (seed {seed})");
                        break;
                }
                if (random.Next(20) == 0)
                {
                    session.Start(session.Frontend.StopRing(0));
                }
                else if (random.Next(60) == 0)
                {
                    session.Dispose();
                    session = new BlkSession(disk, pollers: pollers).Start();
                }
            }
        }
        finally
        {
            session.Dispose();
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_broken_ring_waits_for_a_new_set_up_and_disturbs_no_other_guest(bool packed)
    {
        using var disk = ServedDisk.InMemory(pollers: 1);
        using var good = new BlkSession(disk.Disk, pollers: disk.Pollers).Start();
        using var bad = new HandDriver(disk.Connect(), packed).Start();
        for (var i = 0; i < 5; i++)
        {
            bad.Offer(new Piece(HandDriver.Header, 16), new Piece(HandDriver.Data, 16, DescriptorFlags.Indirect | DescriptorFlags.Next));
            Assert.True(SpinWait.SpinUntil(bad.Error.TryDrain, s_patience), "the ring breaks");
            Assert.Equal(VirtioBlkStatus.Ok, good.Do(VirtioBlkRequestType.In, 0, 512));
            bad.Restart();
            bad.Request(VirtioBlkRequestType.In, 0, new Piece(HandDriver.Data, 512, DescriptorFlags.Write));
            Assert.True(SpinWait.SpinUntil(() => bad.Ring.TryPopUsed(out _, out _), s_patience), "the ring works again");
        }
    }

    [Fact]
    public void A_ring_without_a_kick_descriptor_is_polled_and_disturbs_no_other_guest()
    {
        using var disk = ServedDisk.InMemory(pollers: 1);
        using var good = new BlkSession(disk.Disk, pollers: disk.Pollers).Start();
        using var polled = new HandDriver(disk.Connect(), packed: false).Start();
        Assert.True(polled.Ask(VhostUserRequest.SetVringKick, VringDescriptorWord.NoDescriptor));
        for (var i = 0; i < 50; i++)
        {
            polled.Prepare(VirtioBlkRequestType.In, 0);
            polled.Ring.Offer(
                new Piece(HandDriver.Header, 16), new Piece(HandDriver.Data, 512, DescriptorFlags.Write),
                new Piece(HandDriver.Status, 1, DescriptorFlags.Write));
            Assert.True(SpinWait.SpinUntil(() => polled.Ring.TryPopUsed(out _, out _), s_patience), "it is served without a kick");
            Assert.Equal(VirtioBlkStatus.Ok, good.Do(VirtioBlkRequestType.In, 0, 512));
        }
    }
}
