using VmShunt.BlockBackend.Transition;
using VmShunt.Ring.Memory;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.HostPartition.Block.Transition;

/// <summary>What guests do, as sequences of events.</summary>
public sealed class SequenceTests : IDisposable
{
    private readonly ManualClock _clock = new();
    private readonly LogLines _log = new();
    private readonly FakeTrap _trap = new();
    private readonly FakeRing _ring = new();
    private readonly GuestTransition _guest;

    public SequenceTests()
    {
        _guest = new GuestTransition(_trap, 1000, "the guest", _log, _clock);
        _guest.RingOpened(_ring, hasDriver: false);
        // Firmware, and then Linux, whose virtio driver comes first.
        _guest.Enumerated();
        _guest.RingReset();
        _guest.DriverReady(continues: false);
        _guest.Enumerated();
        _guest.RingReset();
        _guest.DriverReady(continues: false);
        Assert.Equal((PairState.Enlightened, false), (_guest.State, _trap.HasDisk));
    }

    public void Dispose() => _guest.Dispose();

    private bool TrapWrites() => _trap.Gate.MayWrite || _trap.Gate.Ask(new SharedFlag());

    // The driver resets its device before it sleeps; QEMU resets both devices when the guest wakes.
    [Theory]
    [InlineData(1, 0)]
    [InlineData(3600, 2)]
    public void S3_after_the_transition(int secondsAsleep, int changesAsleep)
    {
        var before = _trap.Changes;
        _guest.RingReset();
        _clock.Advance(TimeSpan.FromSeconds(secondsAsleep));
        // Asleep, the guest sees nothing of a disk that came, and when it wakes that has gone.
        _guest.TrapReset();
        _guest.RingReset();
        Assert.Equal((false, changesAsleep), (_trap.HasDisk, _trap.Changes - before));
        _clock.Advance(TimeSpan.FromSeconds(1));
        _guest.RingReset();
        _guest.DriverReady(continues: false);
        Assert.Equal((PairState.Enlightened, changesAsleep), (_guest.State, _trap.Changes - before));
    }

    [Fact]
    public void A_reset_of_the_machine_after_the_drivers_end_brings_the_disk_with_the_firmwares_enumeration()
    {
        _guest.RingReset();
        _clock.Advance(GuestTransition.ResetLimit);
        _trap.Read(512);
        // The disk has been used, so this is no guest that wakes.
        _guest.TrapReset();
        Assert.True(_trap.HasDisk);
        _guest.Enumerated();
        Assert.Equal((PairState.Emulated, true), (_guest.State, _trap.HasDisk));
    }

    [Fact]
    public void A_suspended_machine_resumes_while_its_crash_kernel_dumps()
    {
        _guest.Enumerated();
        _trap.Read(512);
        Assert.True(TrapWrites());
        Assert.Equal((PairState.Stopped, RingOrder.Refuse), (_guest.State, _ring.Gate.Order));
        // The rings stop, and start with the status that the dead kernel set.
        _guest.DriverReady(continues: true);
        Assert.Equal((PairState.Stopped, RingOrder.Refuse, true), (_guest.State, _ring.Gate.Order, _trap.HasDisk));
        Assert.True(TrapWrites());
    }

    [Fact]
    public void A_suspended_machine_resumes_before_its_crash_kernel_writes()
    {
        _guest.Enumerated();
        _guest.DriverReady(continues: true);
        Assert.Equal((PairState.Enumerated, true), (_guest.State, _trap.HasDisk));
        Assert.True(TrapWrites());
        Assert.Equal(PairState.Stopped, _guest.State);
    }

    // The mark at the enumeration is behind them: see GuardedRingTests for the ring's side.
    [Fact]
    public void A_dead_kernels_chains_before_the_panic_are_no_proof()
    {
        _ring.HasNew = true;
        _guest.Enumerated();
        Assert.True(TrapWrites());
        Assert.Equal(PairState.Stopped, _guest.State);
    }

    [Fact]
    public void The_virtio_disk_is_removed_without_a_reset()
    {
        _guest.RingClosed(_ring);
        Assert.Equal((PairState.Away, false), (_guest.State, _trap.HasDisk));
        _clock.Advance(GuestTransition.AwayLimit);
        Assert.Equal((PairState.Returned, true), (_guest.State, _trap.HasDisk));
        Assert.True(TrapWrites());
        Assert.Equal(PairState.Written, _guest.State);
    }

    [Fact]
    public void An_idle_guest_rescans_its_bus()
    {
        _guest.Enumerated();
        _trap.Read(512);
        Assert.True(_trap.HasDisk);
        // Its next request, however late.
        _clock.Advance(TimeSpan.FromHours(1));
        _guest.OldKernelLives();
        Assert.Equal((PairState.Enlightened, false), (_guest.State, _trap.HasDisk));
    }

    [Fact]
    public void A_ring_comes_back_with_requests_in_flight_after_the_trap_path_took_the_right()
    {
        _guest.Enumerated();
        _guest.RingClosed(_ring);
        Assert.True(TrapWrites());
        var ring = new FakeRing();
        _guest.RingOpened(ring, hasDriver: false);
        _guest.DriverReady(continues: true);
        Assert.Equal((PairState.Stopped, RingOrder.Refuse), (_guest.State, ring.Gate.Order));
    }

    [Fact]
    public void A_ring_comes_back_too_late_and_after_a_write()
    {
        _guest.RingClosed(_ring);
        _clock.Advance(GuestTransition.AwayLimit);
        Assert.True(TrapWrites());
        var ring = new FakeRing();
        _guest.RingOpened(ring, hasDriver: false);
        _guest.DriverReady(continues: true);
        Assert.Equal((PairState.Stopped, RingOrder.Refuse), (_guest.State, ring.Gate.Order));
    }

    [Fact]
    public void A_ring_that_comes_back_proves_nothing_before_its_driver_publishes()
    {
        _guest.RingClosed(_ring);
        _guest.Enumerated();
        var ring = new FakeRing();
        _guest.RingOpened(ring, hasDriver: false);
        _guest.DriverReady(continues: true);
        Assert.Equal((PairState.Enumerated, RingOrder.Watch, true), (_guest.State, ring.Gate.Order, _trap.HasDisk));
    }

    [Fact]
    public void A_crash_kernel_with_both_drivers_writes_by_the_one_that_was_first()
    {
        _guest.Enumerated();
        _trap.Read(512);
        Assert.True(TrapWrites());
        _guest.RingReset();
        _guest.DriverReady(continues: false);
        Assert.Equal((PairState.SharedByTrap, RingOrder.RefuseWrites, true), (_guest.State, _ring.Gate.Order, _trap.HasDisk));
    }
}
