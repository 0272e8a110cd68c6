using VmShunt.BlockDriver;
using VmShunt.BlockDriver.Requests;
using VmShunt.Guest.Enlightened;
using VmShunt.Guest.Requests;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Guest.Kernel.Enlightened;

/// <summary>The shunt of the enlightened stack.</summary>
public class ReverseShuntTests
{
    [Fact]
    public void It_passes_requests_down_until_it_gets_a_target_and_again_when_it_is_inert()
    {
        var (port, other) = (new RecordingDriver(), new RecordingDriver { Geometry = new DiskGeometry(8, 512, "OTHER", IsReadOnly: false) });
        var shunt = new ReverseShunt(port);
        var disk = new DiskClassDriver(shunt, new CrashGate());
        _ = disk.FlushAsync().AsTask();
        shunt.Divert(other);
        Assert.Equal("OTHER", disk.Geometry.Serial);
        _ = disk.FlushAsync().AsTask();
        shunt.BeInert();
        _ = disk.FlushAsync().AsTask();
        Assert.Equal((2, 1, 1L), (port.Requests.Count, other.Requests.Count, shunt.Diverted));
        Assert.True(shunt.IsInert);
    }

    [Fact]
    public void A_diverted_request_stays_with_its_target_when_the_shunt_becomes_inert()
    {
        var (port, other) = (new RecordingDriver(), new RecordingDriver());
        var shunt = new ReverseShunt(port);
        var disk = new DiskClassDriver(shunt, new CrashGate());
        shunt.Divert(other);
        var flush = disk.FlushAsync().AsTask();
        shunt.BeInert();
        Assert.Single(other.Requests).Complete(BlockStatus.Ok);
        Assert.True(flush.IsCompletedSuccessfully);
        Assert.Empty(port.Requests);
    }
}
