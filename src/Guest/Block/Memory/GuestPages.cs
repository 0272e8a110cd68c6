namespace VmShunt.BlockDriver.Memory;

/// <summary>
/// Allocates pages of guest memory. For set-up, not for the request path: allocate buffers once and reuse them. Any thread.
/// </summary>
public sealed class GuestPages
{
    private const ulong PageBytes = 4096;

    // The loader uses the memory below.
    private const ulong FirstAddress = 0x20_0000;

    private readonly GuestRam _ram;
    private readonly SortedList<ulong, ulong> _free = [];
    private readonly Lock _lock = new();

    internal GuestPages(GuestRam ram)
    {
        _ram = ram;
        var low = ram.Parts[0];
        if (low.Size <= FirstAddress) throw new InvalidOperationException($"{low.Size:n0} bytes of memory are too few for a kernel; start the guest with --memory 8M or more");
        _free.Add(FirstAddress, low.Size - FirstAddress);
        foreach (var part in ram.Parts.Skip(1)) _free.Add(part.GuestAddress, part.Size);
    }

    /// <summary>Allocates contiguous, page-aligned, zeroed memory.</summary>
    /// <exception cref="InvalidOperationException">No contiguous range of that length is free.</exception>
    public GuestBuffer Allocate(int bytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(bytes);
        var size = RoundUp(bytes);
        lock (_lock)
        {
            foreach (var (address, length) in _free)
            {
                if (length < size) continue;
                _free.Remove(address);
                if (length > size) _free.Add(address + size, length - size);
                var buffer = new GuestBuffer(_ram.Memory, address, bytes);
                buffer.Span.Clear();
                return buffer;
            }
        }
        throw new InvalidOperationException($"no {bytes:n0} contiguous bytes of guest memory are free; start the guest with a larger --memory");
    }

    /// <summary>Frees a buffer. It must be a whole one from <see cref="Allocate"/>, without a request in flight.</summary>
    public void Free(GuestBuffer buffer)
    {
        var (address, size) = (buffer.Address, RoundUp(buffer.Length));
        lock (_lock)
        {
            foreach (var (freeAddress, freeSize) in _free.ToArray())
            {
                if (freeAddress + freeSize == address) address = freeAddress;
                else if (address + size != freeAddress) continue;
                _free.Remove(freeAddress);
                size += freeSize;
            }
            _free.Add(address, size);
        }
    }

    private static ulong RoundUp(int bytes) => ((ulong)bytes + PageBytes - 1) / PageBytes * PageBytes;
}
