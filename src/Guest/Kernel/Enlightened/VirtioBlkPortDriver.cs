using VmShunt.Guest.Block;
using VmShunt.Guest.Bus;
using VmShunt.Guest.Tracing;

namespace VmShunt.Guest.Enlightened;

/// <summary>
/// Port driver-en: the bottom of the enlightened stack. It knows that it is in a VM, and its requests go to VM-H over the
/// bus. While the bus is away, and for requests that a lost bus gives back, the emulating stack takes them.
/// </summary>
/// <param name="away">Takes requests that the bus cannot.</param>
internal sealed class VirtioBlkPortDriver(IPortDriver away) : IPortDriver
{
    private BusChannel? _channel;
    private DiskGeometry _geometry = away.Geometry;

    public DiskGeometry Geometry => _channel?.Geometry ?? _geometry;

    /// <summary>From now on requests go to a channel, which stays the caller's.</summary>
    internal void Attach(BusChannel channel)
    {
        _geometry = channel.Geometry;
        Interlocked.Exchange(ref _channel, channel);
    }

    /// <summary>From now on no request goes to a channel; those that did may still be there.</summary>
    internal void Detach() => Interlocked.Exchange(ref _channel, null);

    public void Submit(BlockRequest request)
    {
        request.Trace?.Pass(Hop.PortDriverEn);
        request.Fallback ??= away;
        if (_channel is { } channel) channel.Submit(request);
        else request.Reject();
    }
}
