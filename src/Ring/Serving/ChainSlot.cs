using VmShunt.Ring.Memory;
using VmShunt.Ring.Virtqueue;

namespace VmShunt.Ring.Serving;

/// <summary>One taken chain of a <see cref="Virtqueue"/>, reused for later chains. Used by the queue's thread.</summary>
internal sealed class ChainSlot
{
    private MemoryWindow[] _pieces = new MemoryWindow[4];
    private int _readable, _count;

    internal ChainHandle Handle { get; private set; }

    /// <summary>Identifies one use of the slot: it changes when the chain is returned.</summary>
    internal uint Use { get; private set; }

    /// <summary>The turn in which the chain was taken.</summary>
    internal uint Turn { get; private set; }

    internal bool IsTaken { get; private set; }

    /// <summary>The length of the device-writable part.</summary>
    internal long WritableBytes { get; private set; }

    internal ReadOnlySpan<MemoryWindow> Readable => _pieces.AsSpan(0, _readable);

    internal ReadOnlySpan<MemoryWindow> Writable => _pieces.AsSpan(_readable, _count - _readable);

    /// <summary>Takes a chain and translates its addresses.</summary>
    /// <param name="chain">The chain.</param>
    /// <param name="memory">The guest's memory.</param>
    /// <param name="pieces">Working memory.</param>
    /// <param name="turn">The current turn.</param>
    /// <returns>False when an address is outside the memory: the chain can only be returned.</returns>
    internal bool TryTake(DescriptorChain chain, GuestMemory memory, IoVectors pieces, uint turn)
    {
        (Handle, Turn, IsTaken, _count, WritableBytes) = (chain.Handle, turn, true, 0, 0);
        if (!TryAppend(chain.Readable, memory, pieces, deviceWrites: false)) return false;
        _readable = _count;
        if (!TryAppend(chain.Writable, memory, pieces, deviceWrites: true)) return false;
        WritableBytes = pieces.TotalBytes;
        return true;
    }

    internal void Release()
    {
        IsTaken = false;
        Use++;
    }

    private bool TryAppend(ReadOnlySpan<DescriptorChain.Segment> segments, GuestMemory memory, IoVectors pieces, bool deviceWrites)
    {
        pieces.Clear();
        foreach (var segment in segments)
        {
            if (!memory.TryAppend(segment.Address, segment.Length, deviceWrites, pieces)) return false;
        }
        if (_count + pieces.Count > _pieces.Length) Array.Resize(ref _pieces, Math.Max(2 * _pieces.Length, _count + pieces.Count));
        foreach (var piece in pieces.Pieces) _pieces[_count++] = new MemoryWindow(piece.Address, (uint)piece.Length);
        return true;
    }
}
