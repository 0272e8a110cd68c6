namespace VmShunt.Ring.Virtqueue;

/// <summary>
/// One request's buffers as the device read them out of the ring: a private copy, so nothing in it changes any more.
/// Addresses are still the guest's and unchecked. Reused for every request of a queue; one thread.
/// </summary>
public sealed class DescriptorChain
{
    /// <summary>The longest chain taken, with or without an indirect table; no device or driver in use makes longer ones.</summary>
    public const int MaxSegments = 1024;

    private readonly Segment[] _segments = new Segment[MaxSegments];

    /// <summary>One buffer: guest-physical address and length in bytes.</summary>
    public readonly record struct Segment(ulong Address, uint Length);

    /// <summary>What returns the chain to its queue.</summary>
    public ChainHandle Handle { get; private set; }

    /// <summary>All segments.</summary>
    public int Count { get; private set; }

    /// <summary>How many come first that the device only reads.</summary>
    public int ReadableCount { get; private set; }

    /// <summary>The segments that the device reads, in order.</summary>
    public ReadOnlySpan<Segment> Readable => _segments.AsSpan(0, ReadableCount);

    /// <summary>The segments that the device writes, in order.</summary>
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
