using VmShunt.BlockBackend.Transition;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.HostPartition.Block.Transition;

public sealed class GuestPairsTests
{
    private readonly LogLines _log = new();

    private GuestPairs Pairs(bool pairsSockets = false) => new(pairsSockets, 1000, _log, TimeProvider.System);

    private static TrapMember OpenTrap(GuestPairs pairs, int peer) => pairs.OpenTrap(peer, "trap", new FakeTrap(), static () => false)!;

    private static RingMember OpenRing(GuestPairs pairs, int peer, Func<bool>? isHungUp = null) => pairs.OpenRing(peer, "ring", new FakeRing(), isHungUp ?? (static () => false))!;

    [Fact]
    public void Two_sessions_of_one_process_are_one_guests()
    {
        var pairs = Pairs();
        using var ring = OpenRing(pairs, 7);
        using var trap = OpenTrap(pairs, 7);
        using var other = OpenRing(pairs, 8);
        Assert.Same(trap.Transition, ring.Transition);
        Assert.Null(other.Transition);
        ring.DriverReady(continues: false);
        Assert.Equal(PairState.Enlightened, trap.Transition.State);
        Assert.DoesNotContain(_log.All, static line => line.Contains("no transition", StringComparison.Ordinal));
    }

    [Fact]
    public void A_driver_that_was_there_before_the_trap_path_is_watched()
    {
        var pairs = Pairs();
        using var ring = OpenRing(pairs, 7);
        ring.DriverReady(continues: false);
        using var trap = OpenTrap(pairs, 7);
        Assert.Equal(PairState.Enumerated, trap.Transition.State);
    }

    [Fact]
    public void More_sessions_of_one_process_have_no_transition_and_one_line_says_so()
    {
        var pairs = Pairs();
        using var trap = OpenTrap(pairs, 7);
        using var ring = OpenRing(pairs, 7);
        using var second = OpenRing(pairs, 7);
        second.DriverReady(continues: false);
        ring.DriverReady(continues: false);
        Assert.Equal(PairState.Off, trap.Transition.State);
        Assert.Single(_log.All, static line => line.Contains("its process has 1 sessions on the vfio-user socket and 2 on the vhost-user socket", StringComparison.Ordinal));
    }

    [Fact]
    public void A_session_whose_peer_has_hung_up_is_none()
    {
        var pairs = Pairs();
        using var trap = OpenTrap(pairs, 7);
        var isHungUp = false;
        var old = OpenRing(pairs, 7, () => isHungUp);
        old.DriverReady(continues: false);
        isHungUp = true;
        using var ring = OpenRing(pairs, 7);
        ring.DriverReady(continues: true);
        old.Dispose();
        Assert.Same(trap.Transition, ring.Transition);
        Assert.Equal(PairState.Enlightened, trap.Transition.State);
    }

    [Fact]
    public void A_process_of_another_PID_namespace_never_pairs()
    {
        var pairs = Pairs();
        using var trap = OpenTrap(pairs, 0);
        using var ring = OpenRing(pairs, 0);
        Assert.Null(ring.Transition);
        Assert.Equal(PairState.Off, trap.Transition.State);
        Assert.Contains(_log.All, static line => line.Contains("PID namespace", StringComparison.Ordinal));
    }

    [Fact]
    public void Declared_sockets_pair_whatever_process_has_them_and_refuse_a_second_session()
    {
        var pairs = Pairs(pairsSockets: true);
        using var trap = OpenTrap(pairs, 0);
        using var ring = OpenRing(pairs, 9);
        Assert.Same(trap.Transition, ring.Transition);
        Assert.Null(pairs.OpenRing(9, "ring", new FakeRing(), static () => false));
        Assert.Null(pairs.OpenTrap(9, "trap", new FakeTrap(), static () => false));
        Assert.Equal(2, _log.All.Count(static line => line.Contains("is refused", StringComparison.Ordinal)));
    }

    [Fact]
    public void A_front_end_without_what_a_transition_needs_has_none()
    {
        var pairs = Pairs();
        using var ring = OpenRing(pairs, 7);
        ring.IsUnfit("it lacks STATUS");
        using var trap = OpenTrap(pairs, 7);
        Assert.Equal(PairState.Off, trap.Transition.State);
        Assert.Single(_log.All, static line => line.EndsWith("it lacks STATUS", StringComparison.Ordinal));
    }

    [Fact]
    public void A_ring_that_continues_without_a_trap_path_is_reported()
    {
        var pairs = Pairs();
        using var ring = OpenRing(pairs, 7);
        ring.DriverReady(continues: true);
        Assert.Contains("does not reconnect", Assert.Single(_log.All), StringComparison.Ordinal);
    }

    [Fact]
    public void A_transition_ends_with_the_session_of_the_trap_path()
    {
        var pairs = Pairs();
        using var ring = OpenRing(pairs, 7);
        OpenTrap(pairs, 7).Dispose();
        Assert.Null(ring.Transition);
        using var next = OpenTrap(pairs, 7);
        Assert.Same(next.Transition, ring.Transition);
    }
}
