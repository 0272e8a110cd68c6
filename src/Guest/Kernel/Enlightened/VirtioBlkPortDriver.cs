using VmShunt.BlockDriver.Requests;
using VmShunt.BlockDriver.Virtio;
using VmShunt.Guest.Requests;
using VmShunt.Guest.Shunt.Modes;
using VmShunt.Ring.Memory;

namespace VmShunt.Guest.Enlightened;

/// <summary>
/// The port driver (enlightened): sends requests to VM-H over the ring. The emulating stack takes requests while there is
/// no bus, requests that a lost bus rejects, and request types that VM-H does not support on the ring.
/// </summary>
/// <param name="away">Takes requests that the bus cannot.</param>
internal sealed class VirtioBlkPortDriver(IPortDriver away) : IPortDriver, IEnlightenedEntry
{
    private BusChannel? _channel;
    private DiskGeometry _geometry = away.Geometry;
    private ShuntSwitch? _commanded;

    public DiskGeometry Geometry => Ordered.Load(ref _channel)?.Geometry ?? Ordered.Load(ref _geometry);

    public bool IsPresent => Ordered.Load(ref _channel) is not null;

    /// <summary>The switch of the shunt that this driver commands, or null.</summary>
    internal ShuntSwitch? Commanded
    {
        get => Ordered.Load(ref _commanded);
        set => Ordered.Store(ref _commanded, value);
    }

    /// <summary>Submits requests to a channel from now on; the caller owns the channel.</summary>
    internal void Attach(BusChannel channel)
    {
        Ordered.Store(ref _geometry, channel.Geometry);
        Ordered.Store(ref _channel, channel);
        Commanded?.Divert();
    }

    /// <summary>Submits no more requests to the channel; earlier ones may still be in flight there.</summary>
    internal void Detach()
    {
        Commanded?.PassDown();
        Ordered.Store(ref _channel, null);
    }

    public void Submit(BlockRequest request)
    {
        request.Trace?.Pass(Hop.PortDriverEn);
        request.Fallback ??= away;
        if (Ordered.Load(ref _channel) is { } channel && channel.Implemented.Includes(request.Operation)) channel.Submit(request);
        else request.Reject();
    }

    public bool TryAccept(BlockRequest request) =>
        Ordered.Load(ref _channel) is { } channel && channel.Implemented.Includes(request.Operation) && channel.TrySubmit(request);
}
