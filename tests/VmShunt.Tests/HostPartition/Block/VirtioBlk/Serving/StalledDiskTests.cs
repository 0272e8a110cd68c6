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
        using var stalled = new StalledRing(packed, log: _log);
        // Twice: the second time the ring itself waits for the first one's request.
        for (var stops = 0; stops < 2; stops++) stalled.Start(stalled.Qemu.Stop(isOld));
        Assert.Equal(1, stalled.Port.Operations);
        Assert.False(stalled.Frontend.TryPopUsed(out _));
        Assert.Contains("was stopped while the disk had not answered", Assert.Single(_log.All), StringComparison.Ordinal);

        stalled.Port.Open(2);
        stalled.Frontend.AssertCompleted();
        Assert.Equal(2, stalled.Port.Operations);
        Assert.Contains("requests start again", _log.All[^1], StringComparison.Ordinal);
        stalled.Port.Open();
        stalled.Frontend.AssertServed();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_change_of_the_memory_does_not_wait_and_the_ring_continues_in_it(bool packed)
    {
        using var stalled = new StalledRing(packed);
        stalled.Frontend.SetMemoryTable();
        stalled.Port.Open(2);
        stalled.Frontend.AssertCompleted();
        Assert.Equal(2, stalled.Port.Operations);
    }

    /// <summary>The guest starts anew, and has other things in that memory.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void After_a_reset_the_old_request_writes_no_byte_and_a_new_driver_is_served(bool packed)
    {
        using var stalled = new StalledRing(packed);
        stalled.Frontend.Send(VhostUserRequest.ResetDevice, []);
        AssertTouchesNothing(stalled);

        using var next = stalled.Qemu.GetInflight();
        stalled.Frontend.ResetRing(packed);
        stalled.Qemu.Start(Features(packed), next, stalled.Frontend.RingPosition, sharesMemory: false);
        stalled.Port.Open();
        stalled.Frontend.AssertServed();
        Assert.Equal(2, stalled.Port.Operations);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_session_closes_at_once_and_the_next_one_executes_the_request_again(bool packed)
    {
        using var stalled = new StalledRing(packed);
        stalled.Qemu.Realize(stalled.Disk.Connect(), isReconnect: true);
        AssertTouchesNothing(stalled);

        stalled.Start(stalled.Position, sharesMemory: true);
        stalled.Port.Open();
        stalled.Frontend.AssertCompleted();
        Assert.Equal(2, stalled.Port.Operations);
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
        using var stalled = new StalledRing(packed: false, tracks, canAbandon, _log);
        var stop = Task.Factory.StartNew(() => stalled.Qemu.Stop(isOld: false), TaskCreationOptions.LongRunning);
        Assert.True(SpinWait.SpinUntil(() => _log.All.Any(static line => line.Contains("cannot stop", StringComparison.Ordinal)), 60_000));
        Assert.Contains(why, Assert.Single(_log.All), StringComparison.Ordinal);
        Assert.False(stop.IsCompleted);
        stalled.Port.Open();
        Assert.Equal(1u, await stop.WaitAsync(TimeSpan.FromSeconds(60)));
        stalled.Frontend.AssertCompleted();
    }

    private static void AssertTouchesNothing(StalledRing stalled)
    {
        stalled.Frontend.DataAndStatus = (0x77, 0x77);
        Assert.True(stalled.Disk.Disk.HasLateCommand);
        stalled.Port.Open();
        Assert.True(SpinWait.SpinUntil(() => !stalled.Disk.Disk.HasLateCommand, 60_000), "the abandoned request does not end");
        Assert.Equal((0x77, 0x77), stalled.Frontend.DataAndStatus);
        Assert.False(stalled.Frontend.TryPopUsed(out _));
    }

    private static VirtioBlkFeatures Features(bool packed) => QemuFrontend.Linux | (packed ? VirtioBlkFeatures.PackedRing : 0);

    /// <summary>A ring whose first request, a read, is on a disk that does not answer before its gate is opened.</summary>
    private sealed class StalledRing : IDisposable
    {
        private readonly bool _packed;
        private readonly QemuFrontend.InflightRecord? _record;

        /// <param name="packed">The ring's layout.</param>
        /// <param name="tracks">Whether the front-end keeps a record of chains in flight.</param>
        /// <param name="canAbandon">Whether the disk's requests can be abandoned.</param>
        /// <param name="log">The disk's.</param>
        internal StalledRing(bool packed, bool tracks = true, bool canAbandon = true, LogLines? log = null)
        {
            _packed = packed;
            Port = new GatedPortDriver(ServedDisk.Bytes, fill: 0xab, canAbandon: canAbandon);
            Disk = new ServedDisk(Port, log: log);
            Frontend.Acknowledged.UnionWith(Enum.GetValues<VhostUserRequest>());
            Qemu = new QemuFrontend(Frontend);
            Qemu.Realize(Disk.Connect(), isReconnect: false);
            Frontend.ResetRing(packed);
            _record = tracks ? Qemu.GetInflight() : null;
            Position = Frontend.RingPosition;
            Start(Position, sharesMemory: true);
            Frontend.SubmitRead();
            Port.AwaitOperation();
        }

        internal GatedPortDriver Port { get; }

        internal ServedDisk Disk { get; }

        internal ScriptedFrontend Frontend { get; } = new();

        internal QemuFrontend Qemu { get; }

        /// <summary>Where the ring started.</summary>
        internal uint Position { get; }

        internal void Start(uint position, bool sharesMemory = false) => Qemu.Start(Features(_packed), _record, position, sharesMemory);

        public void Dispose()
        {
            _record?.Dispose();
            Frontend.Dispose();
            Disk.Dispose();
            Port.Dispose();
        }
    }
}
