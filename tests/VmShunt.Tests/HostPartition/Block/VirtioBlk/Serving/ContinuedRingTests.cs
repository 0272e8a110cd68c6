using VmShunt.Ring.VhostUser;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.HostPartition.Block.VirtioBlk.Serving;

/// <summary>Where a ring continues: after a restart of VM-H, after the guest was stopped, and after its driver started again.</summary>
public class ContinuedRingTests : QemuFrontendTests
{
    // More requests than the ring has entries for, so that a packed ring wraps at every entry.
    private const int Rounds = 20;

    public ContinuedRingTests()
        : this(pollers: 0)
    {
    }

    private protected ContinuedRingTests(int pollers)
        : base(pollers)
    {
    }

    /// <summary>
    /// The session ends in order, at a signal to VM-H, before the front-end asks for a position: it sends the one that it has,
    /// and a packed ring's is in the record of chains in flight only. That record was cleared, and the disk hung.
    /// </summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void The_next_back_end_continues_a_ring_whose_position_the_front_end_does_not_know(bool packed)
    {
        Realize(packed);
        using var record = Qemu.GetInflight();
        var stale = Frontend.RingPosition;
        Qemu.Start(Features(packed), record, stale, sharesMemory: true);
        for (var round = 0; round < Rounds; round++)
        {
            Frontend.AssertServed();
            // The memory changes, and the ring pauses for it.
            Frontend.SetMemoryTable();
            Frontend.AssertServed();
            Qemu.Realize(Disk.Connect(), isReconnect: true);
            Qemu.Start(Features(packed), record, stale, sharesMemory: true);
            Frontend.AssertServed();
        }
    }

    /// <summary>No back-end can continue it; but it says so, instead of waiting for a driver that waits for it.</summary>
    [Fact]
    public void A_packed_ring_that_nothing_says_where_to_continue_is_reported_once_and_works_after_a_reset()
    {
        Realize(packed: true);
        var start = Frontend.RingPosition;
        // In the first lap, and in the second.
        for (var requests = 1; requests <= 8; requests += 7)
        {
            Frontend.ResetRing(packed: true);
            Qemu.Start(Features(packed: true), null, start, sharesMemory: true);
            for (var i = 0; i < requests; i++) Frontend.AssertServed();
            Frontend.Acknowledged.Clear();
            Qemu.Realize(Disk.Connect(), isReconnect: true);
            Qemu.Start(Features(packed: true), null, start, sharesMemory: true);
            Frontend.Query(VhostUserRequest.GetStatus);
            Assert.Contains("cannot be continued", Assert.Single(Disk.Reports), StringComparison.Ordinal);
            Disk.Reports.Clear();
            Qemu.Stop(isOld: true);
            Frontend.ResetRing(packed: true);
            Qemu.Start(Features(packed: true), null, start, sharesMemory: false);
            Frontend.AssertServed();
            Qemu.Stop(isOld: true);
            Qemu.Realize(Disk.Connect(), isReconnect: true);
        }
    }

    /// <summary>QEMU 7.2 resets the status before it asks for the position. The answer was 0, and the disk hung.</summary>
    [Theory]
    [InlineData(true, false, false)]
    [InlineData(true, false, true)]
    [InlineData(true, true, false)]
    [InlineData(true, true, true)]
    [InlineData(false, false, false)]
    [InlineData(false, false, true)]
    [InlineData(false, true, false)]
    [InlineData(false, true, true)]
    public void A_guest_that_was_stopped_continues(bool isOld, bool packed, bool tracks)
    {
        Realize(packed);
        using var record = tracks ? Qemu.GetInflight() : null;
        var position = Frontend.RingPosition;
        for (var round = 0; round < Rounds; round++)
        {
            Qemu.Start(Features(packed), record, position, sharesMemory: round == 0);
            Frontend.AssertServed();
            position = Qemu.Stop(isOld);
        }
    }

    [Theory]
    [InlineData(true, false)]
    [InlineData(true, true)]
    [InlineData(false, false)]
    [InlineData(false, true)]
    public void A_driver_that_starts_again_gets_a_new_ring_although_the_record_is_that_of_the_last_one(bool isOld, bool packed)
    {
        Realize(packed);
        using var record = Qemu.GetInflight();
        for (var round = 1; round <= Rounds; round++)
        {
            Frontend.ResetRing(packed);
            Qemu.Start(Features(packed), record, Frontend.RingPosition, sharesMemory: round == 1);
            for (var i = 0; i < round; i++) Frontend.AssertServed();
            if (round % 2 == 0) Frontend.Send(VhostUserRequest.ResetDevice, []);
            else Qemu.Stop(isOld);
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void After_a_reset_without_a_new_base_a_ring_begins_at_its_start(bool packed)
    {
        Realize(packed);
        using var record = Qemu.GetInflight();
        var start = Frontend.RingPosition;
        Qemu.Start(Features(packed), record, start, sharesMemory: true);
        Frontend.AssertServed();
        Frontend.Send(VhostUserRequest.ResetDevice, []);
        Assert.Equal(start, Frontend.Stop().Value);
        Frontend.ResetRing(packed);
        Qemu.Start(Features(packed), record, ringBase: null, sharesMemory: false);
        Frontend.AssertServed();
        Frontend.Send(VhostUserRequest.SetStatus, 0ul);
        Frontend.ResetRing(packed);
        Qemu.Start(Features(packed), record, ringBase: null, sharesMemory: false);
        Frontend.AssertServed();
    }

    private void Realize(bool packed)
    {
        Frontend.Acknowledged.UnionWith(Enum.GetValues<VhostUserRequest>());
        Qemu.Realize(Disk.Connect(), isReconnect: false);
        Frontend.ResetRing(packed);
    }

    private static VirtioBlkFeatures Features(bool packed) => QemuFrontend.Linux | (packed ? VirtioBlkFeatures.PackedRing : 0);
}

/// <summary>The same in a poll group.</summary>
public sealed class PolledContinuedRingTests() : ContinuedRingTests(pollers: 1);
