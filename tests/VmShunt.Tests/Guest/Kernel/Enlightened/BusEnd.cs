using Microsoft.Extensions.Logging.Abstractions;
using VmShunt.BlockBackend.Disk;
using VmShunt.BlockDriver;
using VmShunt.BlockDriver.Memory;
using VmShunt.BlockDriver.Requests;
using VmShunt.BlockDriver.Virtio;
using VmShunt.Guest.Enlightened;
using VmShunt.Guest.Machine;
using VmShunt.Guest.Requests;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;
using VmShunt.Ring.Notification;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Guest.Kernel.Enlightened;

/// <summary>The port driver (enlightened) and a channel to VM-H's device, which the test attaches.</summary>
internal sealed class BusEnd : IDisposable
{
    private readonly GuestRam _ram = GuestRam.Create(16 << 20);
    private readonly VirtualizationDriver _host;
    private readonly UnixConnection _backEnd;
    private int _lost;

    internal BusEnd(PortDriver port, RequestTypes implemented = RequestTypes.All)
    {
        _host = new VirtualizationDriver(new HostClassDriver(port, NullLogger.Instance), "RING", 512);
        Pages = _ram.Pages();
        var crash = new CrashGate();
        (var socket, _backEnd) = RingDisk.Serve(_host, WaitPolicy.Never, implemented);
        Channel = BusChannel.Open(socket, _ram, Pages, new BusOptions(1, WaitPolicy.Never, RingLayout.Packed),
            new QueueThreadOptions(WaitPolicy.Never, crash, static () => { }, static () => { }, OnLost, static _ => { }));
        Channel.Agree(static implemented => new ShuntDeclaration { Version = ShuntAgreement.CurrentVersion, Criterion = PrimaryCriterion.Importance, Primary = implemented });
        Driver = new VirtioBlkPortDriver(Away);
        Disk = new DiskClassDriver(Driver, crash);
    }

    internal GuestPages Pages { get; }

    internal BusChannel Channel { get; }

    /// <summary>Takes requests that the bus cannot; completes them at once.</summary>
    internal RecordingDriver Away { get; } = new(completesAtOnce: true);

    internal VirtioBlkPortDriver Driver { get; }

    /// <summary>A class driver over it.</summary>
    internal DiskClassDriver Disk { get; }

    /// <summary>Disconnects VM-H and waits until the channel has noticed.</summary>
    internal void Lose()
    {
        _backEnd.Shutdown();
        Assert.True(SpinWait.SpinUntil(() => Ordered.Load(ref _lost) != 0, TimeSpan.FromSeconds(60)), "the loss was not reported");
    }

    public void Dispose()
    {
        Driver.Detach();
        Channel.Dispose();
        _host.Dispose();
    }

    private void OnLost(string why)
    {
        Driver.Detach();
        Ordered.Store(ref _lost, 1);
    }
}
