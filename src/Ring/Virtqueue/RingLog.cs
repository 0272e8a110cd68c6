using VmShunt.Ring.Memory;

namespace VmShunt.Ring.Virtqueue;

/// <summary>Marks what the device writes through one ring in the dirty log. Only the thread that owns the queue uses it.</summary>
internal sealed class RingLog
{
    private readonly DirtyLog _log;
    private readonly (ulong Address, int Bytes)[] _areas;

    // By the id of the chain in flight: its device-writable segments.
    private readonly List<DescriptorChain.Segment>?[] _writable;

    /// <param name="log">Outlives the ring.</param>
    /// <param name="size">The ring's size.</param>
    /// <param name="areas">The areas of the ring that the device writes.</param>
    internal RingLog(DirtyLog log, int size, params (ulong Address, int Bytes)[] areas)
    {
        (_log, _areas) = (log, areas);
        _writable = new List<DescriptorChain.Segment>?[size];
        // A previous back-end may have died between a write and its mark.
        RingWritten();
    }

    /// <summary>A chain is in flight.</summary>
    internal void Popped(DescriptorChain chain)
    {
        var writable = _writable[chain.Handle.Id] ??= [];
        writable.Clear();
        writable.AddRange(chain.Writable);
    }

    /// <summary>The device has written into the buffers of a chain, and is about to return it.</summary>
    internal void Returning(ChainHandle handle)
    {
        if (_writable[handle.Id] is not { } writable) return;
        foreach (var segment in writable) _log.Mark(segment.Address, segment.Length);
    }

    /// <summary>The device has written to the ring.</summary>
    internal void RingWritten()
    {
        foreach (var (address, bytes) in _areas) _log.Mark(address, (ulong)bytes);
    }
}
