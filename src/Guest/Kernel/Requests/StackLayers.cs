using VmShunt.BlockDriver.Requests;
using VmShunt.Ring.Memory;

namespace VmShunt.Guest.Requests;

/// <summary>
/// The layers around the class drivers of one disk, which all of them share. Either may be replaced at any time; requests
/// that have passed stay where they are. Any thread.
/// </summary>
/// <param name="lower">The initial lower layer.</param>
internal sealed class StackLayers(IBlockDriver lower)
{
    private IBlockDriver _lower = lower;
    private IBlockDriver? _above;

    /// <summary>The layer that class drivers submit to. Acquire and release: a submitter sees the new layer complete.</summary>
    internal IBlockDriver Lower
    {
        get => Ordered.Load(ref _lower);
        set => Ordered.Store(ref _lower, value);
    }

    /// <summary>A layer that receives requests before the class driver, or null. Ordered as <see cref="Lower"/>.</summary>
    internal IBlockDriver? Above
    {
        get => Ordered.Load(ref _above);
        set => Ordered.Store(ref _above, value);
    }
}
