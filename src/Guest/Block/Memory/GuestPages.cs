namespace VmShunt.BlockDriver.Memory;

/// <summary>
/// Allocates pages of guest memory. For set-up, not for the request path: allocate buffers once and reuse them. Any thread.
/// </summary>
internal sealed class GuestPages
{
    private const ulong PageBytes = 4096;

    // The loader uses the memory below.
    private const ulong AboveLoader = 0x20_0000;

    private readonly GuestRam _ram;
    private readonly SortedList<ulong, ulong> _free = [];
    private readonly Lock _lock = new();

    /// <param name="ram">The memory.</param>
    /// <exception cref="InvalidOperationException">There is no memory above the loader's.</exception>
    internal GuestPages(GuestRam ram)
    {
        _ram = ram;
        var low = ram.Parts[0];
        if (low.Size <= AboveLoader) throw new InvalidOperationException($"{low.Size:n0} bytes of memory are too few for a kernel; start the guest with --memory 8M or more");
        _free.Add(AboveLoader, low.Size - AboveLoader);
        foreach (var part in ram.Parts.Skip(1)) _free.Add(part.GuestAddress, part.Size);
    }

    /// <param name="ram">The memory.</param>
    /// <param name="address">Where the range to allocate from starts, a multiple of the page size.</param>
    /// <param name="bytes">Its size.</param>
    internal GuestPages(GuestRam ram, ulong address, ulong bytes)
    {
        _ram = ram;
        _free.Add(address, bytes);
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
