using VmShunt.BlockBackend;
using VmShunt.BlockBackend.Disk;
using VmShunt.Ring.Memory;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.HostPartition.Block.Disk;

/// <summary>Two hosts pass an image to each other while their guest migrates, and never have it at once.</summary>
public sealed class DiskLeaseTests : IDisposable
{
    private readonly string _path = Path.GetTempFileName();
    private readonly LogLines _log = new();

    public DiskLeaseTests() => File.WriteAllBytes(_path, new byte[1 << 16]);

    public void Dispose() => File.Delete(_path);

    [Fact]
    public void The_source_releases_the_image_when_its_guest_has_left_and_the_destination_has_it_then()
    {
        using var source = Open(isIncoming: false);
        using var destination = Open(isIncoming: true);
        source.Lease.Enter();
        Assert.False(source.MustWait);
        destination.Lease.Enter();
        Assert.True(destination.MustWait);
        source.Lease.Leave(passesOn: true);
        Assert.True(SpinWait.SpinUntil(() => !destination.MustWait, 60_000), "the destination does not get the image");
        Assert.Contains(_log.All, static line => line.Contains("flushed and released", StringComparison.Ordinal));
        Assert.Equal(1, _log.All.Count(line => line.Contains($"in use by process {Environment.ProcessId}", StringComparison.Ordinal)));
        Assert.True(source.MustWait);
    }

    [Fact]
    public void A_source_whose_guest_is_continued_takes_the_image_back_when_the_destination_ends()
    {
        using var source = Open(isIncoming: false);
        using (var destination = Open(isIncoming: true))
        {
            destination.Lease.Enter();
            source.Lease.Enter();
            source.Lease.Leave(passesOn: true);
            Assert.True(SpinWait.SpinUntil(() => !destination.MustWait, 60_000), "the destination does not get the image");
            source.Lease.Enter();
            Assert.True(source.MustWait);
        }
        Assert.True(SpinWait.SpinUntil(() => !source.MustWait, 60_000), "the source does not get the image back");
    }

    [Fact]
    public void A_guest_that_does_not_migrate_and_another_guest_of_the_disk_keep_the_image_locked()
    {
        using var source = Open(isIncoming: false);
        using var destination = Open(isIncoming: true);
        source.Lease.Enter();
        source.Lease.Leave(passesOn: false);
        Assert.False(destination.Lease.TryTake());
        source.Lease.Enter();
        source.Lease.Enter();
        source.Lease.Leave(passesOn: true);
        Thread.Sleep(50);
        Assert.False(destination.Lease.TryTake());
        Assert.False(source.MustWait);
    }

    [Fact]
    public void An_image_that_cannot_be_flushed_is_not_released()
    {
        using var port = new FaultyPortDriver(1 << 16);
        var lease = new DiskLease(port, port.Flush, static () => false, _log);
        lease.Enter();
        lease.Leave(passesOn: true);
        Assert.True(SpinWait.SpinUntil(() => _log.All.Any(static line => line.Contains("cannot be flushed", StringComparison.Ordinal)), 60_000));
        Assert.True(lease.IsHeld);
    }

    [Fact]
    public void An_image_is_not_released_before_the_disk_has_answered_an_abandoned_request()
    {
        using var port = FilePortDriver.Open(_path, readOnly: false, direct: false, _log);
        var isBusy = true;
        var lease = new DiskLease(port, port.Flush, () => Ordered.Load(ref isBusy), _log);
        lease.Enter();
        lease.Leave(passesOn: true);
        Thread.Sleep(100);
        Assert.True(lease.IsHeld);
        // The guest is continued here, and leaves again.
        lease.Enter();
        lease.Leave(passesOn: true);
        Thread.Sleep(100);
        Assert.True(lease.IsHeld);
        Ordered.Store(ref isBusy, false);
        Assert.True(SpinWait.SpinUntil(() => !lease.IsHeld, 60_000), "the image is not released");
        // Another server of the disk does not have it either.
        Assert.True(SpinWait.SpinUntil(() => !port.IsOwned, 60_000), "the lock is not released");
        Assert.False(new DiskLease(port, port.Flush, static () => false, _log).IsHeld);
    }

    [Fact]
    public void A_disk_that_nothing_locks_has_no_incoming_form()
    {
        var refused = Assert.Throws<FormatException>(() => HostDisk.Open("memory:1M", new HostDiskOptions { IsIncoming = true }));
        Assert.Contains("--incoming", refused.Message, StringComparison.Ordinal);
    }

    private VirtualizationDriver Open(bool isIncoming) =>
        new(new HostClassDriver(FilePortDriver.Open(_path, readOnly: false, direct: false, _log, isIncoming: isIncoming), _log), "LEASE", 512);
}
