using VmShunt.BlockBackend.Transition;
using VmShunt.Ring.Memory;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.HostPartition.Block.Transition;

/// <summary>The rules of a transition, on paths without devices.</summary>
public sealed class GuestTransitionTests : IDisposable
{
    private const long ProbeLimit = 1000;

    private readonly ManualClock _clock = new();
    private readonly LogLines _log = new();
    private readonly FakeTrap _trap = new();
    private readonly FakeRing _ring = new();
    private readonly SharedFlag _aborted = new();
    private readonly GuestTransition _guest;

    public GuestTransitionTests()
    {
        _guest = new GuestTransition(_trap, ProbeLimit, "the guest", _log, _clock);
        _guest.RingOpened(_ring, hasDriver: false);
    }

    public void Dispose() => _guest.Dispose();

    private (PairState State, bool HasDisk, RingOrder Ring, bool TrapWrites) Now => (_guest.State, _trap.HasDisk, _ring.Gate.Order, _trap.Gate.MayWrite);

    private bool TrapWrites() => _trap.Gate.MayWrite || _trap.Gate.Ask(_aborted);

    private void Start()
    {
        _guest.RingReset();
        _guest.DriverReady(continues: false);
    }

    // Rule 1.
    [Fact]
    public void A_new_guest_and_every_enumeration_has_the_disk()
    {
        Assert.Equal((PairState.Emulated, true, RingOrder.Serve, false), Now);
        Start();
        Assert.False(_trap.HasDisk);
        _guest.Enumerated();
        Assert.Equal((PairState.Enumerated, true, RingOrder.Watch, false), Now);
        _guest.RingReset();
        Assert.Equal((PairState.Emulated, true), (_guest.State, _trap.HasDisk));
        Start();
        _guest.RingReset();
        _guest.Enumerated();
        Assert.Equal((PairState.Emulated, true), (_guest.State, _trap.HasDisk));
    }

    // Rule 2.
    [Fact]
    public void The_disk_goes_when_a_driver_starts_after_polling_users()
    {
        _trap.Gate.CountRead(100 * ProbeLimit);
        Assert.True(TrapWrites());
        Start();
        Assert.Equal((PairState.Enlightened, false, RingOrder.Serve, false), Now);
        Assert.False(TrapWrites());
    }

    [Fact]
    public void The_ring_waits_for_the_commands_in_flight_and_the_message_does_not()
    {
        _trap.IsBusy = true;
        Start();
        // What is written before is in flight, too.
        Assert.Equal((PairState.Unplugging, true, RingOrder.Hold, true), Now);
        _trap.Finish(_guest);
        Assert.Equal((PairState.Enlightened, false, RingOrder.Serve, false), Now);
    }

    [Theory]
    [InlineData(ProbeLimit, false, PairState.Enlightened)]
    [InlineData(ProbeLimit + 1, false, PairState.SharedByRing)]
    [InlineData(0, true, PairState.SharedByTrap)]
    public void The_disk_of_a_driver_with_interrupts_goes_if_it_was_only_probed(long bytesRead, bool writes, object state)
    {
        _guest.Enumerated();
        _trap.Read(bytesRead);
        if (writes) Assert.True(TrapWrites());
        Start();
        Assert.Equal(state, _guest.State);
        Assert.Equal(_guest.State != PairState.Enlightened, _trap.HasDisk);
        Assert.Equal(_trap.HasDisk, Array.Exists(_log.All, static line => line.Contains("the emulated disk stays", StringComparison.Ordinal)));
    }

    // Rule 3.
    [Fact]
    public void A_reset_without_a_driver_brings_the_disk_back_after_two_seconds()
    {
        Start();
        _guest.RingReset();
        _clock.Advance(GuestTransition.ResetLimit - TimeSpan.FromMilliseconds(1));
        Assert.Equal((PairState.Resetting, false), (_guest.State, _trap.HasDisk));
        _clock.Advance(TimeSpan.FromMilliseconds(1));
        Assert.Equal((PairState.Returned, true), (_guest.State, _trap.HasDisk));
        // Interrupts were enabled all the time, and what was read before counts no more.
        _trap.Read(ProbeLimit);
        Start();
        Assert.Equal((PairState.Enlightened, false), (_guest.State, _trap.HasDisk));
    }

    [Fact]
    public void A_driver_that_resets_its_device_and_starts_shows_no_event()
    {
        Start();
        Start();
        _clock.Advance(TimeSpan.FromMinutes(1));
        Assert.Equal((PairState.Enlightened, 1), (_guest.State, _trap.Changes));
    }

    [Fact]
    public void A_session_that_stays_away_brings_the_disk_back_after_ten_seconds()
    {
        Start();
        _guest.RingClosed(_ring);
        _clock.Advance(GuestTransition.AwayLimit - TimeSpan.FromMilliseconds(1));
        Assert.False(_trap.HasDisk);
        _clock.Advance(TimeSpan.FromMilliseconds(1));
        Assert.Equal((PairState.Returned, true), (_guest.State, _trap.HasDisk));
    }

    // Rule 4.
    [Fact]
    public void A_chain_after_the_enumeration_proves_the_kernel_alive_and_the_disk_goes()
    {
        Start();
        var marks = _ring.Marks;
        _guest.Enumerated();
        Assert.Equal(marks + 1, _ring.Marks);
        _trap.Read(ProbeLimit);
        _guest.OldKernelLives();
        Assert.Equal((PairState.Enlightened, false, RingOrder.Serve, false), Now);
    }

    [Fact]
    public void A_chain_that_no_ring_has_popped_yet_proves_it_before_a_write_of_the_trap_path()
    {
        Start();
        _guest.Enumerated();
        _ring.HasNew = true;
        // The write is in flight itself.
        _trap.IsBusy = true;
        Assert.False(TrapWrites());
        Assert.Equal((PairState.Unplugging, RingOrder.Hold, false), (_guest.State, _ring.Gate.Order, _trap.Gate.MayWrite));
        _trap.Finish(_guest);
        Assert.Equal((PairState.Enlightened, false), (_guest.State, _trap.HasDisk));
    }

    [Fact]
    public async Task Without_such_a_chain_the_first_write_stops_the_ring_after_its_requests()
    {
        Start();
        _guest.Enumerated();
        _ring.IsDrained = false;
        var write = Task.Run(TrapWrites);
        Assert.True(SpinWait.SpinUntil(() => _ring.Gate.Order == RingOrder.Refuse, 60_000));
        Assert.Equal((false, false), (write.IsCompleted, _trap.Gate.MayWrite));
        _ring.IsDrained = true;
        Assert.True(await write);
        Assert.Equal((PairState.Stopped, true, RingOrder.Refuse, true), Now);
    }

    [Fact]
    public void A_write_that_is_aborted_while_it_waits_for_the_ring_leaves_the_wait_to_the_next()
    {
        Start();
        _guest.Enumerated();
        _ring.IsDrained = false;
        _aborted.Raise();
        Assert.False(TrapWrites());
        Assert.False(_trap.Gate.MayWrite);
        _ring.IsDrained = true;
        _aborted.Lower();
        Assert.True(TrapWrites());
        Assert.True(_trap.Gate.MayWrite);
    }

    // Rule 5.
    [Fact]
    public void The_first_writer_since_the_enumeration_holds_the_right()
    {
        _guest.Enumerated();
        _trap.Read(0);
        Assert.True(TrapWrites());
        Start();
        Assert.Equal((PairState.SharedByTrap, true, RingOrder.RefuseWrites, true), Now);
        _guest.RingFailed();
        _guest.RingFailed();
        Assert.Single(_log.All, static line => line.Contains("VIRTIO_BLK_S_IOERR", StringComparison.Ordinal));
    }

    [Fact]
    public void Where_none_has_written_the_ring_holds_the_right_from_the_drivers_start_on()
    {
        _guest.Enumerated();
        _trap.Read(ProbeLimit + 1);
        Start();
        Assert.Equal((PairState.SharedByRing, true, RingOrder.Serve, false), Now);
        Assert.False(TrapWrites());
        Assert.False(TrapWrites());
        Assert.Single(_log.All, static line => line.Contains("ABRT", StringComparison.Ordinal));
        // It keeps the right until the driver has ended.
        _guest.RingReset();
        Assert.False(TrapWrites());
        _clock.Advance(GuestTransition.ResetLimit);
        Assert.True(TrapWrites());
    }

    // Rule 6.
    [Fact]
    public void A_stop_and_a_reconnect_show_no_event()
    {
        Start();
        _guest.DriverReady(continues: true);
        _guest.RingClosed(_ring);
        _guest.RingOpened(_ring, hasDriver: false);
        _guest.DriverReady(continues: true);
        _clock.Advance(TimeSpan.FromMinutes(1));
        Assert.Equal((PairState.Enlightened, 1), (_guest.State, _trap.Changes));
    }

    [Fact]
    public void A_change_has_one_line_with_its_reason_and_the_requests_since_the_last()
    {
        _trap.Gate.CountRequest();
        Start();
        _ring.Requests = 5;
        _guest.RingReset();
        Assert.Equal(
            [
                "transition: the guest: emulated -> enlightened: a driver started on the ring, and only polling users had the emulated disk (1 requests on the trap path and 0 on the ring since the last change)",
                "transition: the guest: enlightened -> resetting: the ring's device was reset (0 requests on the trap path and 5 on the ring since the last change)",
            ],
            _log.All);
    }

    [Fact]
    public void A_guest_that_changes_its_state_in_a_loop_does_not_flood_the_log()
    {
        for (var i = 0; i < 100; i++)
        {
            _guest.Enumerated();
            Start();
        }
        Assert.Equal(20, _log.All.Length);
        _clock.Advance(TimeSpan.FromSeconds(1));
        _guest.RingReset();
        Assert.Contains("changes before it have no line", _log.All[20], StringComparison.Ordinal);
        Assert.Equal(21, _log.All.Length);
    }

    [Fact]
    public void The_right_to_write_ends_with_the_session_of_the_trap_path()
    {
        _guest.Enumerated();
        _trap.Read(0);
        Assert.True(TrapWrites());
        Start();
        Assert.Equal(RingOrder.RefuseWrites, _ring.Gate.Order);
        _guest.Dispose();
        Assert.Equal(RingOrder.Serve, _ring.Gate.Order);
    }

    [Fact]
    public void A_guest_that_can_have_no_transition_has_both_paths()
    {
        Start();
        _guest.TurnOff("because");
        _guest.TurnOff("because");
        Assert.Equal((PairState.Off, true, RingOrder.Serve, true), Now);
        Start();
        _guest.Enumerated();
        Assert.Equal((PairState.Off, true, RingOrder.Serve, true), Now);
        Assert.Single(_log.All, static line => line.EndsWith("no transition, the disk is served on both paths: because", StringComparison.Ordinal));
    }
}
