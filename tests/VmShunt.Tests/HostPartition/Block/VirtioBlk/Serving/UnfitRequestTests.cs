using Microsoft.Extensions.Logging.Abstractions;
using VmShunt.BlockBackend.Disk;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.HostPartition.Block.VirtioBlk.Serving;

/// <summary>A driver that waits for room that its ring can never have says nothing: VM-H says it, when the ring starts.</summary>
public sealed class UnfitRequestTests : IDisposable
{
    private readonly VirtualizationDriver _disk = new(new HostClassDriver(new RecordingPortDriver(), NullLogger.Instance), "SERIAL", 512);
    private readonly LogLines _log = new();

    public void Dispose() => _disk.Dispose();

    [Fact]
    public void A_ring_that_is_too_small_for_a_driver_without_indirect_descriptors_is_logged_once_with_the_remedy()
    {
        using var session = new BlkSession(_disk, BlkSession.Everything & ~VirtioBlkFeatures.IndirectDescriptors, _log);
        session.Start();
        Assert.Equal(VirtioBlkStatus.Ok, session.Do(VirtioBlkRequestType.In, 0, 512));
        session.Start(session.Frontend.StopRing(0));
        var line = Assert.Single(_log.All, static line => line.Contains("never fit", StringComparison.Ordinal));
        Assert.Contains("has 16 entries", line, StringComparison.Ordinal);
        Assert.Contains("up to 126", line, StringComparison.Ordinal);
        Assert.Contains("--seg-max 14 ", line, StringComparison.Ordinal);
    }

    [Fact]
    public void With_indirect_descriptors_every_request_fits()
    {
        using var session = new BlkSession(_disk, log: _log);
        session.Start();
        Assert.Equal(VirtioBlkStatus.Ok, session.Do(VirtioBlkRequestType.In, 0, 512));
        Assert.Empty(_log.All);
    }
}
