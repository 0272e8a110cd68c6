using VmShunt.BlockBackend.Disk;
using VmShunt.Guest.Enlightened;
using VmShunt.Guest.Mode;
using VmShunt.Guest.Shunt.Modes;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Tests.Guest.Kernel.Machine;

namespace VmShunt.Tests.Guest.Kernel.Mode;

/// <summary>Mode control between a hypervisor that offers a bus and a VM-H that serves it.</summary>
public class ModeControlTests
{
    [Fact]
    public async Task Requests_take_the_ring_path_in_enlightened_mode_and_the_trap_path_before_and_after()
    {
        using var guest = Guest(isOffered: true);
        await guest.Disk.FlushAsync();
        guest.Mode.Change(GuestMode.Enlightened);
        await guest.Disk.FlushAsync();
        await Task.Yield();
        guest.Mode.Change(GuestMode.Emulating);
        await guest.Disk.FlushAsync();
        await Task.Yield();
        Assert.Equal((2L, 1L), (guest.Counters.Trapped, guest.Counters.Ringed));
        Assert.Equal((ModeState.Emulating, 1), (guest.Mode.State, guest.Machine.Closed));
    }

    [Fact]
    public async Task In_enlightened_mode_both_stacks_exist_and_complete_requests()
    {
        using var guest = Guest(isOffered: true);
        guest.Mode.Change(GuestMode.Enlightened);
        Assert.False(guest.Emulated.IsRemoved);
        await guest.Disk.FlushAsync();
        await Task.Yield();
        var enlightened = Assert.IsType<EnlightenedStack>(guest.Mode.Enlightened);
        await enlightened.Disk.FlushAsync();
        await Task.Yield();
        Assert.Equal((1L, 1L), (guest.Counters.Completed, enlightened.Disk.Counters.Completed));
        Assert.Equal((0L, 0L), (guest.Counters.Failed, enlightened.Disk.Counters.Failed));
    }

    [Fact]
    public async Task In_alternate_mode_reads_and_writes_take_the_ring_path_and_flushes_trap()
    {
        using var guest = Guest(isOffered: true);
        guest.Mode.Change(GuestMode.Alternate);
        await guest.Disk.ReadAsync(0, guest.Pages.Allocate(512));
        await guest.Disk.FlushAsync();
        await Task.Yield();
        Assert.Equal((1L, 1L), (guest.Counters.Trapped, guest.Counters.Ringed));
        Assert.Null(guest.Mode.Enlightened);
        Assert.False(guest.Emulated.Visibility.Now.IsHidden);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Without_a_bus_a_change_fails_and_the_guest_stays_emulating(bool hasHypervisor)
    {
        using var guest = new InProcessGuest(new MemoryPortDriver(1 << 20), hasHypervisor);
        Assert.Throws<IOException>(() => guest.Mode.Change(GuestMode.Enlightened));
        await guest.Disk.FlushAsync();
        await Task.Yield();
        Assert.Equal((GuestMode.Emulating, ModeState.Emulating), (guest.Mode.Mode, guest.Mode.State));
    }

    [Fact]
    public void A_wanted_mode_is_entered_when_the_bus_is_offered_and_not_before()
    {
        using var guest = Guest(isOffered: false);
        guest.Mode.Want(GuestMode.Enlightened);
        Assert.True(guest.Mode.Settle());
        Assert.Equal((ModeState.AwaitingEnlightened, GuestMode.Emulating), (guest.Mode.State, guest.Mode.Mode));
        guest.Machine.IsOffered = true;
        Assert.True(guest.Mode.Settle());
        Assert.Equal((ModeState.Enlightened, GuestMode.Enlightened, 1), (guest.Mode.State, guest.Mode.Mode, guest.Mode.Returns));
        Assert.True(guest.Emulated.Visibility.Now.IsHidden);
    }

    [Fact]
    public async Task After_a_loss_requests_trap_until_the_bus_is_offered_again()
    {
        using var guest = Guest(isOffered: true);
        guest.Mode.Change(GuestMode.Enlightened);
        guest.LoseBus();
        Assert.Equal((ModeState.EnlightenedLost, GuestMode.Emulating), (guest.Mode.State, guest.Mode.Mode));
        await guest.Disk.FlushAsync();
        await Task.Yield();
        Assert.Equal((1L, 0L), (guest.Counters.Trapped, guest.Counters.Ringed));
        Assert.True(guest.Mode.Settle());
        await guest.Disk.FlushAsync();
        await Task.Yield();
        Assert.Equal((ModeState.Enlightened, 1L, 1), (guest.Mode.State, guest.Counters.Ringed, guest.Machine.Closed));
    }

    [Fact]
    public void After_a_rescind_the_channel_is_closed_and_the_mode_stays_wanted()
    {
        using var guest = Guest(isOffered: true);
        guest.Mode.Change(GuestMode.Alternate);
        guest.Machine.IsOffered = false;
        guest.LoseBus();
        Assert.True(guest.Mode.Settle());
        Assert.Equal((ModeState.AwaitingAlternate, 1), (guest.Mode.State, guest.Machine.Closed));
        Assert.Null(guest.Mode.Channel);
    }

    [Fact]
    public void An_offered_bus_that_does_not_open_is_worth_a_retry()
    {
        using var guest = Guest(isOffered: true);
        guest.Machine.IsUnavailable = true;
        guest.Mode.Want(GuestMode.Enlightened);
        Assert.False(guest.Mode.Settle());
        Assert.Equal(ModeState.AwaitingEnlightened, guest.Mode.State);
        guest.Machine.IsUnavailable = false;
        Assert.True(guest.Mode.Settle());
        Assert.Equal(ModeState.Enlightened, guest.Mode.State);
    }

    [Fact]
    public void A_mismatch_leaves_no_channel_and_is_not_retried()
    {
        using var guest = Guest(isOffered: true);
        guest.Machine.Implemented = RequestTypes.Data;
        Assert.Throws<ShuntMismatchException>(() => guest.Mode.Change(GuestMode.Enlightened));
        Assert.Equal((ModeState.Emulating, 1), (guest.Mode.State, guest.Machine.Closed));
        Assert.Null(guest.Mode.Channel);
        guest.Mode.Want(GuestMode.Enlightened);
        Assert.True(guest.Mode.Settle());
        Assert.Equal(ModeState.AwaitingEnlightened, guest.Mode.State);
    }

    [Fact]
    public void A_policy_that_VM_H_refuses_leaves_the_guest_emulating_until_another_is_configured()
    {
        using var guest = Guest(isOffered: true);
        guest.Machine.Implemented = RequestTypes.Data;
        var important = ShuntOptions.Default with { Criterion = PrimaryCriterion.Importance };
        guest.Mode.Configure(important);
        guest.Mode.Change(GuestMode.Enlightened);
        Assert.Throws<ShuntMismatchException>(() => guest.Mode.Configure(ShuntOptions.Default));
        Assert.Equal((ModeState.AwaitingEnlightened, GuestMode.Emulating), (guest.Mode.State, guest.Mode.Mode));
        guest.Mode.Configure(important);
        Assert.True(guest.Mode.Settle());
        Assert.Equal(GuestMode.Enlightened, guest.Mode.Mode);
    }

    [Fact]
    public void A_configured_shunt_is_exchanged_in_the_mode_that_the_guest_has()
    {
        using var guest = Guest(isOffered: true);
        guest.Mode.Change(GuestMode.Enlightened);
        guest.Mode.Configure(ShuntOptions.Default with { Source = ModeSource.Commanded, Position = ShuntPosition.AboveClass });
        Assert.Equal((GuestMode.Enlightened, ModeSource.Commanded, 1), (guest.Mode.Mode, guest.Mode.Shunt.Options.Source, guest.Machine.Closed));
    }

    [Fact]
    public async Task Without_the_emulating_stack_requests_wait_for_the_bus_and_only_the_enlightened_mode_is_possible()
    {
        using var guest = Guest(isOffered: true);
        Assert.Throws<InvalidOperationException>(guest.Mode.RemoveEmulating);
        guest.Mode.Change(GuestMode.Enlightened);
        guest.Mode.RemoveEmulating();
        Assert.Throws<InvalidOperationException>(guest.Mode.RemoveEmulating);
        Assert.Throws<IOException>(() => guest.Mode.Change(GuestMode.Emulating));
        var disk = guest.Mode.Enlightened!.Disk;
        guest.LoseBus();
        var flush = disk.FlushAsync().AsTask();
        Assert.False(flush.IsCompleted);
        Assert.True(guest.Mode.Settle());
        await flush.WaitAsync(TimeSpan.FromSeconds(60));
        await Task.Yield();
        Assert.Equal((1L, 0L), (disk.Counters.Ringed, disk.Counters.Failed));
    }

    [Fact]
    public void The_reverse_shunt_is_available_while_the_enlightened_mode_is_wanted()
    {
        using var guest = Guest(isOffered: true);
        Assert.Throws<InvalidOperationException>(() => guest.Mode.WithReverseShunt(static _ => { }));
        guest.Mode.Change(GuestMode.Enlightened);
        guest.Mode.WithReverseShunt(shunt => shunt.Divert(guest.Emulated.Port));
        Assert.Contains("reverse shunt", Assert.Throws<InvalidOperationException>(guest.Mode.RemoveEmulating).Message, StringComparison.Ordinal);
        guest.Mode.WithReverseShunt(static shunt => shunt.BeInert());
    }

    [Fact]
    public void After_the_end_no_event_opens_the_bus_again()
    {
        using var guest = Guest(isOffered: true);
        guest.Mode.Change(GuestMode.Enlightened);
        guest.Mode.Dispose();
        guest.Mode.Want(GuestMode.Enlightened);
        Assert.True(guest.Mode.Settle());
        Assert.Equal((ModeState.Ended, GuestMode.Emulating, 1), (guest.Mode.State, guest.Mode.Mode, guest.Machine.Closed));
    }

    private static InProcessGuest Guest(bool isOffered)
    {
        var guest = new InProcessGuest(new MemoryPortDriver(1 << 20));
        guest.Machine.IsOffered = isOffered;
        return guest;
    }
}
