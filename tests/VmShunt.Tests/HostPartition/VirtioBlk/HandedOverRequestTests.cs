using Microsoft.Extensions.Logging.Abstractions;
using VmShunt.HostPartition.Disk;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.HostPartition.VirtioBlk;

/// <summary>Requests that another process has taken and this one is to do, when the ring stops meanwhile.</summary>
public class HandedOverRequestTests
{
    [Fact]
    public async Task A_ring_that_stops_does_all_of_them_first()
    {
        using var port = new GatedPortDriver(1 << 20);
        using var disk = new VirtualizationDriver(new HostClassDriver(port, NullLogger.Instance), "S", 512);
        using var session = new BlkSession(disk);
        for (ushort token = 1; token <= 4; token++) session.Submit(token, VirtioBlkRequestType.Out, token, 512);
        session.HandOver(3);
        session.Start();
        port.AwaitOperation();
        var stop = Task.Factory.StartNew(() => session.Frontend.StopRing(0), TaskCreationOptions.LongRunning);
        Assert.True(SpinWait.SpinUntil(() => session.IsStopping, TimeSpan.FromSeconds(60)));
        port.Open(4);
        Assert.Equal(3u, await stop.WaitAsync(TimeSpan.FromSeconds(60)));
        for (ushort token = 1; token <= 3; token++) Assert.Equal((token, VirtioBlkStatus.Ok, 1u), session.Complete());
        // The fourth was never taken: the next start does it, and none of the others again.
        session.Start(3);
        Assert.Equal(((ushort)4, VirtioBlkStatus.Ok, 1u), session.Complete());
        Assert.Equal(4, port.Operations);
    }

    [Fact]
    public async Task One_alone_that_waits_for_room_is_left_in_the_ring()
    {
        var port = new RecordingPortDriver { Room = 0 };
        using var disk = new VirtualizationDriver(new HostClassDriver(port, NullLogger.Instance, waitForRoom: true), "S", 512);
        using var session = new BlkSession(disk);
        for (ushort token = 1; token <= 2; token++) session.Submit(token, VirtioBlkRequestType.Out, token, 512);
        session.HandOver(1);
        session.Start();
        Assert.Equal(0u, await StopWhileWaiting(session, port));
        port.Room = int.MaxValue;
        session.Start();
        for (ushort token = 1; token <= 2; token++) Assert.Equal((token, VirtioBlkStatus.Ok, 1u), session.Complete());
        Assert.Equal(["write 1+1", "write 2+1"], port.Asked);
    }

    [Fact]
    public async Task Several_that_wait_for_room_fail_because_the_ring_cannot_say_which_they_are()
    {
        var port = new RecordingPortDriver { Room = 0 };
        using var disk = new VirtualizationDriver(new HostClassDriver(port, NullLogger.Instance, waitForRoom: true), "S", 512);
        using var session = new BlkSession(disk);
        for (ushort token = 1; token <= 3; token++) session.Submit(token, VirtioBlkRequestType.Out, token, 512);
        session.HandOver(2);
        session.Start();
        // All but the last, of which the ring can say that it was not taken.
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
