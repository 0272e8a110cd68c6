namespace VmShunt.Ring.Virtqueue;

/// <summary>
/// The buffers of one request as the device popped them: a private copy that the driver cannot change. The addresses are
/// guest-physical and not yet checked. A queue reuses one chain for all requests, on one thread.
/// </summary>
public sealed class DescriptorChain
{
    /// <summary>The most buffers in a chain, with or without an indirect table. Longer chains break the queue.</summary>
    public const int MaxSegments = 1024;

    private readonly Segment[] _segments = new Segment[MaxSegments];

    /// <summary>One buffer: guest-physical address and length in bytes.</summary>
    public readonly record struct Segment(ulong Address, uint Length);

    /// <summary>Returns the chain to its queue.</summary>
    public ChainHandle Handle { get; private set; }

    /// <summary>How many segments the chain has.</summary>
    public int Count { get; private set; }

    /// <summary>How many of them are device-readable; these come first.</summary>
    public int ReadableCount { get; private set; }

    /// <summary>The device-readable segments, in order.</summary>
    public ReadOnlySpan<Segment> Readable => _segments.AsSpan(0, ReadableCount);

    /// <summary>The device-writable segments, in order.</summary>
    public ReadOnlySpan<Segment> Writable => _segments.AsSpan(ReadableCount, Count - ReadableCount);

    internal void Begin(ChainHandle handle)
    {
        Handle = handle;
        Count = 0;
        ReadableCount = 0;
    }

    internal void SetHandle(ChainHandle handle) => Handle = handle;

    /// <returns>Null, or why the chain is malformed.</returns>
    internal string? Add(ulong address, uint length, bool deviceWrites)
    {
        if (Count == MaxSegments) return "a descriptor chain of more than 1024 buffers";
        if (!deviceWrites && ReadableCount != Count) return "a device-readable descriptor after a device-writable one (virtio 1.3 §2.7.4.2)";
        if (address > ulong.MaxValue - length) return "a descriptor whose address and length overflow";
        _segments[Count++] = new Segment(address, length);
        if (!deviceWrites) ReadableCount++;
        return null;
    }
}
