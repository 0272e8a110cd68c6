using VmShunt.BlockBackend.Disk;
using VmShunt.Ring.VhostUser;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Tests.Doubles;
using VmShunt.Tests.Hostile;

namespace VmShunt.Tests.HostPartition.Block.VirtioBlk.Serving;

/// <summary>
/// A front-end stops, resets and closes while the disk does not answer: with a record of chains in flight it is answered at
/// once, no byte is written to what the guest has got back, and the request is executed again when it is the guest's again.
/// </summary>
public sealed class StalledDiskTests
{
    private readonly LogLines _log = new();

    [Theory]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public void A_stop_is_answered_and_the_next_start_executes_the_request_again_when_the_disk_has_finished_it(bool isOld, bool packed)
    {
        using var port = new GatedPortDriver(ServedDisk.Bytes, fill: 0xab, canAbandon: true);
        using var disk = new ServedDisk(port, log: _log);
        using var frontend = new ScriptedFrontend();
        var qemu = Realize(frontend, disk, packed);
        using var record = qemu.GetInflight();
        var position = frontend.RingPosition;
        qemu.Start(Features(packed), record, position, sharesMemory: true);
        frontend.SubmitRead();
        port.AwaitOperation();
        // Twice: the second time the ring itself waits for the first one's request.
        for (var stops = 0; stops < 2; stops++)
        {
            position = qemu.Stop(isOld);
            qemu.Start(Features(packed), record, position, sharesMemory: false);
        }
        Assert.Equal(1, port.Operations);
        Assert.False(frontend.TryPopUsed(out _));
        Assert.Contains("was stopped while the disk had not answered", Assert.Single(_log.All), StringComparison.Ordinal);

        port.Open(2);
        frontend.AssertCompleted();
        Assert.Equal(2, port.Operations);
        Assert.Contains("requests start again", _log.All[^1], StringComparison.Ordinal);
        port.Open();
        frontend.AssertServed();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_change_of_the_memory_does_not_wait_and_the_ring_continues_in_it(bool packed)
    {
        using var port = new GatedPortDriver(ServedDisk.Bytes, fill: 0xab, canAbandon: true);
        using var disk = new ServedDisk(port);
        using var frontend = new ScriptedFrontend();
        var qemu = Realize(frontend, disk, packed);
        using var record = qemu.GetInflight();
        qemu.Start(Features(packed), record, frontend.RingPosition, sharesMemory: true);
        frontend.SubmitRead();
        port.AwaitOperation();
        frontend.SetMemoryTable();
        port.Open(2);
        frontend.AssertCompleted();
        Assert.Equal(2, port.Operations);
    }

    /// <summary>The guest starts anew, and has other things in that memory.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void After_a_reset_the_old_request_writes_no_byte_and_a_new_driver_is_served(bool packed)
    {
        using var port = new GatedPortDriver(ServedDisk.Bytes, fill: 0xab, canAbandon: true);
        using var disk = new ServedDisk(port);
        using var frontend = new ScriptedFrontend();
        var qemu = Realize(frontend, disk, packed);
        using (var record = qemu.GetInflight())
        {
            qemu.Start(Features(packed), record, frontend.RingPosition, sharesMemory: true);
            frontend.SubmitRead();
            port.AwaitOperation();
            frontend.Send(VhostUserRequest.ResetDevice, []);
        }
        AssertTouchesNothing(frontend, port, disk);

        using var next = qemu.GetInflight();
        frontend.ResetRing(packed);
        qemu.Start(Features(packed), next, frontend.RingPosition, sharesMemory: false);
        port.Open();
        frontend.AssertServed();
        Assert.Equal(2, port.Operations);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_session_closes_at_once_and_the_next_one_executes_the_request_again(bool packed)
    {
        using var port = new GatedPortDriver(ServedDisk.Bytes, fill: 0xab, canAbandon: true);
        using var disk = new ServedDisk(port);
        using var frontend = new ScriptedFrontend();
        var qemu = Realize(frontend, disk, packed);
        using var record = qemu.GetInflight();
        var position = frontend.RingPosition;
        qemu.Start(Features(packed), record, position, sharesMemory: true);
        frontend.SubmitRead();
        port.AwaitOperation();
        qemu.Realize(disk.Connect(), isReconnect: true);
        AssertTouchesNothing(frontend, port, disk);

        qemu.Start(Features(packed), record, position, sharesMemory: true);
        port.Open();
        frontend.AssertCompleted();
        Assert.Equal(2, port.Operations);
    }

    [Fact]
    public void Until_the_disk_has_finished_an_abandoned_request_no_other_starts_on_any_session_and_a_flush_neither()
    {
        using var port = new GatedPortDriver(ServedDisk.Bytes, canAbandon: true);
        using var disk = new VirtualizationDriver(new HostClassDriver(port, _log), "S", 512);
        using var first = new BlkSession(disk);
        using var second = new BlkSession(disk);
        first.SetInflight(0);
        first.Start();
        second.Start();
        first.Submit(1, VirtioBlkRequestType.Out, 3, 512);
        port.AwaitOperation();
        Assert.Equal(1u, first.Frontend.StopRing(0));
        second.Submit(1, VirtioBlkRequestType.Out, 3, 512);
        second.Submit(2, VirtioBlkRequestType.Flush, 0, 0);
        // It would be there in microseconds.
        Assert.False(SpinWait.SpinUntil(() => port.Operations > 1, 30));
        port.Open(3);
        Assert.Equal((1, VirtioBlkStatus.Ok, 1u), second.Complete());
        Assert.Equal((2, VirtioBlkStatus.Ok, 1u), second.Complete());
        Assert.Equal(3, port.Operations);
    }

    /// <summary>Without a record nothing remembers the request; with direct I/O the device has the memory's pages.</summary>
    [Theory]
    [InlineData(false, true, "INFLIGHT_SHMFD")]
    [InlineData(true, false, "direct I/O")]
    public async Task Otherwise_a_stop_waits_and_says_so(bool tracks, bool canAbandon, string why)
    {
        using var port = new GatedPortDriver(ServedDisk.Bytes, fill: 0xab, canAbandon: canAbandon);
        using var disk = new ServedDisk(port, log: _log);
        using var frontend = new ScriptedFrontend();
        var qemu = Realize(frontend, disk, packed: false);
        using var record = tracks ? qemu.GetInflight() : null;
        qemu.Start(Features(packed: false), record, 0, sharesMemory: true);
        frontend.SubmitRead();
        port.AwaitOperation();
        var stop = Task.Factory.StartNew(() => qemu.Stop(isOld: false), TaskCreationOptions.LongRunning);
        Assert.True(SpinWait.SpinUntil(() => _log.All.Any(static line => line.Contains("cannot stop", StringComparison.Ordinal)), 60_000));
        Assert.Contains(why, Assert.Single(_log.All), StringComparison.Ordinal);
        Assert.False(stop.IsCompleted);
        port.Open();
        Assert.Equal(1u, await stop.WaitAsync(TimeSpan.FromSeconds(60)));
        frontend.AssertCompleted();
    }

    private static void AssertTouchesNothing(ScriptedFrontend frontend, GatedPortDriver port, ServedDisk disk)
    {
        frontend.DataAndStatus = (0x77, 0x77);
        Assert.True(disk.Disk.HasLateCommand);
        port.Open();
        Assert.True(SpinWait.SpinUntil(() => !disk.Disk.HasLateCommand, 60_000), "the abandoned request does not end");
        Assert.Equal((0x77, 0x77), frontend.DataAndStatus);
        Assert.False(frontend.TryPopUsed(out _));
    }

    private static QemuFrontend Realize(ScriptedFrontend frontend, ServedDisk disk, bool packed)
    {
        frontend.Acknowledged.UnionWith(Enum.GetValues<VhostUserRequest>());
        var qemu = new QemuFrontend(frontend);
        qemu.Realize(disk.Connect(), isReconnect: false);
        frontend.ResetRing(packed);
        return qemu;
    }

    private static VirtioBlkFeatures Features(bool packed) => QemuFrontend.Linux | (packed ? VirtioBlkFeatures.PackedRing : 0);
}
