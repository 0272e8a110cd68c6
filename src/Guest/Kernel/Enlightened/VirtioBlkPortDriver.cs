using VmShunt.BlockDriver.Requests;
using VmShunt.BlockDriver.Virtio;
using VmShunt.Guest.Shunt.Modes;
using VmShunt.Ring.VirtioBlk;

namespace VmShunt.Guest.Enlightened;

/// <summary>
/// Port driver-en: the bottom of the enlightened stack. It knows that it is in a VM, and its requests go to VM-H over the
/// bus. While the bus is away, for requests that a lost bus gives back, and for classes of requests that VM-H does not do
/// on the ring, the emulating stack takes them.
/// </summary>
/// <param name="away">Takes requests that the bus cannot.</param>
internal sealed class VirtioBlkPortDriver(IPortDriver away) : IPortDriver, IEnlightenedEntry
{
    private BusChannel? _channel;
    private DiskGeometry _geometry = away.Geometry;
    private RequestTypes _implemented = RequestTypes.All;

    public DiskGeometry Geometry => _channel?.Geometry ?? _geometry;

    public bool IsPresent => _channel is not null;

    /// <summary>The shunt that this driver commands, or null.</summary>
    internal ShuntSwitch? Commanded { get; set; }

    /// <summary>From now on requests go to a channel, which stays the caller's.</summary>
    internal void Attach(BusChannel channel)
    {
        _geometry = channel.Geometry;
        _implemented = channel.Implemented;
        Interlocked.Exchange(ref _channel, channel);
        Commanded?.Divert();
    }

    /// <summary>From now on no request goes to a channel; those that did may still be there.</summary>
    internal void Detach()
    {
        Commanded?.PassDown();
        Interlocked.Exchange(ref _channel, null);
    }

    public void Submit(BlockRequest request)
    {
        request.Trace?.Pass(Hop.PortDriverEn);
        request.Fallback ??= away;
        if (_channel is { } channel && IsImplemented(request)) channel.Submit(request);
        else request.Reject();
    }

    public bool TryAccept(BlockRequest request) => _channel is { } channel && IsImplemented(request) && channel.TrySubmit(request);

    private bool IsImplemented(BlockRequest request) => ((int)_implemented >> (int)request.Operation & 1) != 0;
}
