namespace VmShunt.BlockDriver.Memory;

/// <summary>
/// Allocates pages of guest memory. For set-up, not for the request path: allocate buffers once and reuse them. Any thread.
/// </summary>
public sealed class GuestPages
{
    private const ulong PageBytes = 4096;

    private readonly GuestRam _ram;
    private readonly SortedList<ulong, ulong> _free = [];
    private readonly Lock _lock = new();

    /// <summary>Allocates from all of the memory.</summary>
    /// <param name="ram">The memory.</param>
    /// <param name="skipped">The bytes at its start that are used otherwise, a multiple of the page size of 4,096, less than the first part's size.</param>
    public GuestPages(GuestRam ram, ulong skipped)
    {
        ArgumentNullException.ThrowIfNull(ram);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(skipped, ram.Parts[0].Size);
        _ram = ram;
        var low = ram.Parts[0];
        _free.Add(low.GuestAddress + skipped, low.Size - skipped);
        foreach (var part in ram.Parts.Skip(1)) _free.Add(part.GuestAddress, part.Size);
    }

    /// <summary>Allocates from a range of the memory.</summary>
    /// <param name="ram">The memory.</param>
    /// <param name="address">Where the range starts, a multiple of the page size of 4,096.</param>
    /// <param name="bytes">Its size.</param>
    public GuestPages(GuestRam ram, ulong address, ulong bytes)
    {
        _ram = ram;
        _free.Add(address, bytes);
    }

    /// <summary>What the exception of a failed allocation says to do.</summary>
    public string Advice { get; init; } = "share more memory";

    /// <summary>Allocates contiguous, page-aligned, zeroed memory.</summary>
    /// <param name="bytes">The length; whole pages are taken.</param>
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
        throw new InvalidOperationException($"no {bytes:n0} contiguous bytes of guest memory are free; {Advice}");
    }

    /// <summary>Frees a buffer. It must be a whole one from <see cref="Allocate"/>, without a request in flight.</summary>
    /// <param name="buffer">The buffer.</param>
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
