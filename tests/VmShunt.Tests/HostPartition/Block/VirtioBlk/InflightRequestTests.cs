using Microsoft.Extensions.Logging.Abstractions;
using VmShunt.BlockBackend.Disk;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.HostPartition.Block.VirtioBlk;

/// <summary>In-flight requests inherited from a previous back-end, when the ring stops.</summary>
public class InflightRequestTests
{
    [Fact]
    public async Task A_ring_completes_all_inherited_requests_before_it_stops()
    {
        using var port = new GatedPortDriver(1 << 20);
        using var disk = new VirtualizationDriver(new HostClassDriver(port, NullLogger.Instance), "S", 512);
        using var session = new BlkSession(disk);
        for (ushort token = 1; token <= 4; token++) session.Submit(token, VirtioBlkRequestType.Out, token, 512);
        session.SetInflight(3);
        session.Start();
        port.AwaitOperation();
        var stop = Task.Factory.StartNew(() => session.Frontend.StopRing(0), TaskCreationOptions.LongRunning);
        Assert.True(SpinWait.SpinUntil(() => session.IsStopping, TimeSpan.FromSeconds(60)));
        port.Open(4);
        Assert.Equal(3u, await stop.WaitAsync(TimeSpan.FromSeconds(60)));
        for (ushort token = 1; token <= 3; token++) Assert.Equal((token, VirtioBlkStatus.Ok, 1u), session.Complete());
        // The fourth was not popped: the next start executes it, and no other again.
        session.Start(3);
        Assert.Equal(((ushort)4, VirtioBlkStatus.Ok, 1u), session.Complete());
        Assert.Equal(4, port.Operations);
    }

    [Fact]
    public async Task A_single_inherited_request_that_waits_for_free_space_is_requeued()
    {
        var port = new RecordingPortDriver { Room = 0 };
        using var disk = new VirtualizationDriver(new HostClassDriver(port, NullLogger.Instance, waitForRoom: true), "S", 512);
        using var session = new BlkSession(disk);
        for (ushort token = 1; token <= 2; token++) session.Submit(token, VirtioBlkRequestType.Out, token, 512);
        session.SetInflight(1);
        session.Start();
        Assert.Equal(0u, await StopWhileWaiting(session, port));
        port.Room = int.MaxValue;
        session.Start();
        for (ushort token = 1; token <= 2; token++) Assert.Equal((token, VirtioBlkStatus.Ok, 1u), session.Complete());
        Assert.Equal(["write 1+1", "write 2+1"], port.Requests);
    }

    [Fact]
    public async Task Of_several_inherited_requests_that_wait_for_free_space_only_the_last_can_be_requeued()
    {
        var port = new RecordingPortDriver { Room = 0 };
        using var disk = new VirtualizationDriver(new HostClassDriver(port, NullLogger.Instance, waitForRoom: true), "S", 512);
        using var session = new BlkSession(disk);
        for (ushort token = 1; token <= 3; token++) session.Submit(token, VirtioBlkRequestType.Out, token, 512);
        session.SetInflight(2);
        session.Start();
        // All fail but the last, which is requeued.
        Assert.Equal(1u, await StopWhileWaiting(session, port));
        Assert.Equal(((ushort)1, VirtioBlkStatus.IoError, 1u), session.Complete());
        port.Room = int.MaxValue;
        session.Start(1);
        for (ushort token = 2; token <= 3; token++) Assert.Equal((token, VirtioBlkStatus.Ok, 1u), session.Complete());
    }

    private static async Task<uint> StopWhileWaiting(BlkSession session, RecordingPortDriver port)
    {
        Assert.True(SpinWait.SpinUntil(() => port.Attempts >= 2, TimeSpan.FromSeconds(60)));
        return await Task.Factory.StartNew(() => session.Frontend.StopRing(0), TaskCreationOptions.LongRunning).WaitAsync(TimeSpan.FromSeconds(60));
    }
}
