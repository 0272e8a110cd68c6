using VmShunt.Ring.VhostUser;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.HostPartition.Ahci;

/// <summary>A guest with both paths to one disk, on real sockets: what its drivers see and may write.</summary>
public sealed class TransitionTests : IDisposable
{
    private const uint Present = 0x133, Empty = 0;

    private readonly TwoPathGuest _guest = new();

    public void Dispose() => _guest.Dispose();

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void The_disk_of_the_firmware_goes_with_the_rings_driver_and_comes_back_after_it(bool packed)
    {
        _guest.Enumerate();
        _guest.Disk.Start();
        Assert.True(_guest.TryWrite(7, 1));
        _guest.StartDriver(packed);
        Assert.Equal(Empty, _guest.Link);
        Assert.Equal(VirtioBlkStatus.Ok, WriteOnRing(2));
        _guest.ResetDevice();
        _guest.Clock.Advance(TimeSpan.FromSeconds(2));
        Assert.Equal(Present, _guest.Link);
        _guest.Disk.Start();
        Assert.Equal(2, _guest.Read(7));
    }

    [Theory]
    [InlineData(false, 0)]
    [InlineData(true, 0)]
    [InlineData(false, 1)]
    public void A_crash_kernel_takes_the_right_to_write_and_the_dead_kernels_requests_fail(bool packed, int pollers)
    {
        using var guest = new TwoPathGuest(pollers);
        guest.StartDriver(packed);
        Assert.Equal(VirtioBlkStatus.Ok, WriteOnRing(2, guest));
        guest.Enumerate();
        guest.Disk.Start();
        Assert.True(guest.TryWrite(7, 3));
        Assert.Equal(VirtioBlkStatus.IoError, WriteOnRing(4, guest));
        Assert.Equal(3, guest.Read(7));
        guest.Frontend.SubmitRead();
        Assert.Equal(VirtioBlkStatus.IoError, guest.Frontend.AwaitStatus());
        Assert.Single(guest.Log.All, static line => line.Contains("VIRTIO_BLK_S_IOERR", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_live_kernels_next_request_takes_the_disk_away_again(bool packed)
    {
        _guest.StartDriver(packed);
        for (var i = 0; i < 40; i++) Assert.Equal(VirtioBlkStatus.Ok, WriteOnRing((byte)i));
        _guest.Enumerate();
        Assert.Equal(Present, _guest.Link);
        Assert.Equal(VirtioBlkStatus.Ok, WriteOnRing(5));
        Assert.True(SpinWait.SpinUntil(() => _guest.Link == Empty, 60_000));
        Assert.Equal(VirtioBlkStatus.Ok, WriteOnRing(6));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Requests_that_are_resubmitted_after_the_trap_path_took_the_right_fail(bool packed)
    {
        _guest.Frontend.ResetRing(packed);
        using var record = _guest.Qemu.GetInflight();
        _guest.Frontend.Send(VhostUserRequest.ResetDevice, []);
        var features = QemuFrontend.Linux | (packed ? VirtioBlkFeatures.PackedRing : 0);
        _guest.Qemu.Start(features, record, _guest.Frontend.RingPosition, sharesMemory: true);
        Assert.Equal(VirtioBlkStatus.Ok, WriteOnRing(2));
        var position = _guest.Qemu.Stop(isOld: false);
        _guest.Frontend.SubmitWrite(9);
        _guest.Enumerate();
        _guest.Disk.Start();
        Assert.True(_guest.TryWrite(7, 3));
        _guest.Qemu.Start(features, record, position, sharesMemory: false);
        Assert.Equal(VirtioBlkStatus.IoError, _guest.Frontend.AwaitStatus());
        Assert.Equal(3, _guest.Read(7));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Chains_of_a_dead_kernel_that_are_taken_after_the_enumeration_prove_nothing(bool packed)
    {
        var disk = new GatedDisk(16 << 20);
        using var guest = new TwoPathGuest(disk: disk);
        guest.StartDriver(packed);
        disk.Close();
        guest.Frontend.SubmitWrite(1);
        disk.AwaitWrite();
        guest.Frontend.SubmitWrite(2);
        guest.Enumerate();
        disk.Open();
        Assert.Equal((VirtioBlkStatus.Ok, VirtioBlkStatus.Ok), (guest.Frontend.AwaitStatus(), guest.Frontend.AwaitStatus()));
        guest.Disk.Start();
        Assert.Equal(Present, guest.Link);
        Assert.True(guest.TryWrite(7, 3));
        Assert.Equal(VirtioBlkStatus.IoError, WriteOnRing(4, guest));
        Assert.Equal(3, guest.Read(7));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task The_trap_paths_first_write_waits_for_the_rings_outstanding_requests(bool packed)
    {
        var disk = new GatedDisk(16 << 20);
        using var guest = new TwoPathGuest(disk: disk);
        guest.StartDriver(packed);
        disk.Close();
        guest.Frontend.SubmitWrite(1);
        disk.AwaitWrite();
        guest.Enumerate();
        guest.Disk.Start();
        var write = Task.Run(() => guest.TryWrite(7, 3));
        Assert.True(SpinWait.SpinUntil(() => Array.Exists(guest.Log.All, static line => line.Contains("ring stopped", StringComparison.Ordinal)), 60_000));
        Assert.False(write.IsCompleted);
        disk.Open();
        Assert.True(await write);
        Assert.Equal(VirtioBlkStatus.Ok, guest.Frontend.AwaitStatus());
        Assert.Equal(3, guest.Read(7));
    }

    [Fact]
    public void A_driver_with_interrupts_that_has_written_keeps_the_disk_and_the_ring_only_reads()
    {
        _guest.Enumerate();
        _guest.Disk.Start();
        _guest.EnableInterrupts();
        Assert.True(_guest.TryWrite(7, 3));
        _guest.StartDriver();
        Assert.Equal(Present, _guest.Link);
        Assert.Equal(VirtioBlkStatus.IoError, WriteOnRing(4));
        _guest.Frontend.SubmitRead();
        Assert.Equal((VirtioBlkStatus.Ok, 3), (_guest.Frontend.AwaitStatus(), _guest.Frontend.DataAndStatus.Data));
        Assert.True(_guest.TryWrite(7, 5));
    }

    [Fact]
    public void A_front_end_that_reconnects_keeps_the_ring_and_shows_no_disk()
    {
        using var record = _guest.Qemu.GetInflight();
        _guest.Frontend.Send(VhostUserRequest.ResetDevice, []);
        _guest.Qemu.Start(QemuFrontend.Linux, record, _guest.Frontend.RingPosition, sharesMemory: true);
        Assert.Equal(VirtioBlkStatus.Ok, WriteOnRing(2));
        _guest.Reconnect();
        _guest.Qemu.Start(QemuFrontend.Linux, record, 1, sharesMemory: true);
        // Before its reply the session has processed what was sent.
        _guest.Frontend.Query(VhostUserRequest.GetStatus);
        _guest.Clock.Advance(TimeSpan.FromMinutes(1));
        Assert.Equal(VirtioBlkStatus.Ok, WriteOnRing(3));
        Assert.Equal(Empty, _guest.Link);
    }

    [Fact]
    public void A_front_end_that_reconnects_with_its_record_does_not_start_a_stopped_ring()
    {
        using var record = _guest.Qemu.GetInflight();
        _guest.Frontend.Send(VhostUserRequest.ResetDevice, []);
        _guest.Qemu.Start(QemuFrontend.Linux, record, _guest.Frontend.RingPosition, sharesMemory: true);
        Assert.Equal(VirtioBlkStatus.Ok, WriteOnRing(2));
        _guest.Enumerate();
        _guest.Disk.Start();
        Assert.True(_guest.TryWrite(7, 3));
        _guest.Reconnect();
        _guest.Qemu.Start(QemuFrontend.Linux, record, 1, sharesMemory: true);
        _guest.Frontend.SubmitRead();
        Assert.Equal(VirtioBlkStatus.IoError, _guest.Frontend.AwaitStatus());
    }

    [Fact]
    public void A_second_session_on_declared_sockets_is_closed()
    {
        using var guest = new TwoPathGuest(pairsSockets: true);
        guest.AssertRefusesMore();
        guest.StartDriver();
        Assert.Equal(Empty, guest.Link);
        Assert.Equal(2, guest.Log.All.Count(static line => line.Contains("a second session on", StringComparison.Ordinal)));
    }

    [Fact]
    public void A_front_end_without_STATUS_has_no_transition()
    {
        _guest.Frontend.Send(VhostUserRequest.SetProtocolFeatures, (ulong)(QemuFrontend.Protocol & ~VhostUserProtocolFeatures.Status));
        _guest.StartDriver();
        Assert.Equal(VirtioBlkStatus.Ok, WriteOnRing(2));
        Assert.Equal(Present, _guest.Link);
        Assert.Single(_guest.Log.All, static line => line.Contains("no transition", StringComparison.Ordinal) && line.Contains("STATUS", StringComparison.Ordinal));
    }

    private VirtioBlkStatus WriteOnRing(byte value, TwoPathGuest? guest = null)
    {
        guest ??= _guest;
        guest.Frontend.SubmitWrite(value);
        return guest.Frontend.AwaitStatus();
    }
}
