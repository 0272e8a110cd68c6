using System.Runtime.CompilerServices;

namespace VmShunt.Ring.Memory;

/// <summary>
/// A guest's physical memory as this process maps it: an immutable set of regions, and the checked translation of
/// guest-physical addresses. Any thread. A changed memory map is a new object; the old one must not be disposed while a
/// window, span or <see cref="IoVectors"/> that it returned or filled is in use.
/// </summary>
public sealed class GuestMemory : IDisposable
{
    private readonly MemoryRegion[] _regions;
    private int _disposed;

    /// <summary>Creates the memory and keeps the regions mapped until it is disposed.</summary>
    /// <exception cref="InvalidDataException">Two regions overlap.</exception>
    public GuestMemory(params IEnumerable<MemoryRegion> regions)
    {
        _regions = [.. regions.OrderBy(r => r.GuestAddress)];
        for (var i = 1; i < _regions.Length; i++)
        {
            var before = _regions[i - 1];
            if (before.GuestAddress + before.Size > _regions[i].GuestAddress)
                throw new InvalidDataException($"memory regions overlap at guest-physical address {_regions[i].GuestAddress:x}");
        }
        foreach (var region in _regions)
        {
            var added = false;
            region.ViewHandle.DangerousAddRef(ref added);
        }
    }

    /// <summary>The regions in the order of their guest-physical addresses.</summary>
    public IReadOnlyList<MemoryRegion> Regions => _regions;

    /// <summary>Translates a range that lies within one region.</summary>
    /// <returns>False when a byte of it is outside of the memory, or it crosses from one region into the next.</returns>
    public bool TryGetWindow(ulong address, int length, out MemoryWindow window)
    {
        if (length >= 0 && TryFind(address, out var region)) return TryCut(region, address, (uint)length, out window);
        window = default;
        return false;
    }

    /// <summary>As <see cref="TryGetWindow"/>, for an address in the process that sent the region.</summary>
    public bool TryGetWindowByUserAddress(ulong userAddress, int length, out MemoryWindow window)
    {
        if (TryFindGuestAddress(userAddress, out var address)) return TryGetWindow(address, length, out window);
        window = default;
        return false;
    }

    /// <summary>The guest-physical address of an address in the process that sent the region.</summary>
    /// <returns>False when it is in no region.</returns>
    internal bool TryFindGuestAddress(ulong userAddress, out ulong address)
    {
        foreach (var region in _regions)
        {
            var offset = userAddress - region.UserAddress;
            if (userAddress < region.UserAddress || offset >= region.Size) continue;
            address = region.GuestAddress + offset;
            return true;
        }
        address = 0;
        return false;
    }

    /// <summary>The bytes of a range that lies within one region.</summary>
    /// <exception cref="ArgumentOutOfRangeException">It does not.</exception>
    public Span<byte> GetSpan(ulong address, int length) =>
        TryGetWindow(address, length, out var window)
            ? window.Span
            : throw new ArgumentOutOfRangeException(nameof(address), $"{length} bytes at {address:x} are not in guest memory");

    /// <summary>Reads a value from guest memory once.</summary>
    /// <returns>False when it does not lie within one region.</returns>
    public bool TryRead<T>(ulong address, out T value) where T : unmanaged
    {
        if (TryGetWindow(address, Unsafe.SizeOf<T>(), out var window))
        {
            value = window.Read<T>(0);
            return true;
        }
        value = default;
        return false;
    }

    /// <summary>Writes a value to guest memory.</summary>
    /// <returns>False when it does not lie within one writable region.</returns>
    public bool TryWrite<T>(ulong address, T value) where T : unmanaged
    {
        if (!TryFind(address, out var region) || !region.IsWritable) return false;
        if (!TryCut(region, address, (uint)Unsafe.SizeOf<T>(), out var window)) return false;
        window.Write(0, value);
        return true;
    }

    /// <summary>Adds a range to a list for disk I/O, one piece per region that it crosses.</summary>
    /// <param name="address">The first guest-physical address.</param>
    /// <param name="length">The length in bytes; 0 adds nothing.</param>
    /// <param name="deviceWrites">Whether the device will write to the range; it must not be in a read-only region then.</param>
    /// <param name="target">The list. On failure it may hold a part of the range.</param>
    /// <returns>False when a byte is outside of the memory, or the list is full.</returns>
    public bool TryAppend(ulong address, ulong length, bool deviceWrites, IoVectors target)
    {
        while (length > 0)
        {
            if (!TryFind(address, out var region) || (deviceWrites && !region.IsWritable)) return false;
            var offset = address - region.GuestAddress;
            var here = Math.Min(length, region.Size - offset);
            if (!target.TryAdd(region.Base + (nint)offset, here)) return false;
            length -= here;
            address += here;
        }
        return true;
    }

    /// <summary>Keeps the regions mapped when this object is disposed, until the returned one is.</summary>
    internal GuestMemory Keep() => new(_regions);

    /// <inheritdoc/>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0) return;
        foreach (var region in _regions) region.ViewHandle.DangerousRelease();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool TryCut(MemoryRegion region, ulong address, uint length, out MemoryWindow window)
    {
        var offset = address - region.GuestAddress;
        if (length <= region.Size - offset)
        {
            window = new MemoryWindow(region.Base + (nint)offset, length);
            return true;
        }
        window = default;
        return false;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private bool TryFind(ulong address, out MemoryRegion region)
    {
        var regions = _regions;
        if (regions.Length <= 4)
        {
            foreach (var candidate in regions)
            {
                if (address - candidate.GuestAddress < candidate.Size)
                {
                    region = candidate;
                    return true;
                }
            }
            Unsafe.SkipInit(out region);
            return false;
        }
        return TryFindAmongMany(address, out region);
    }

    private bool TryFindAmongMany(ulong address, out MemoryRegion region)
    {
        int low = 0, high = _regions.Length - 1;
        while (low <= high)
        {
            var middle = (low + high) >>> 1;
            region = _regions[middle];
            if (address < region.GuestAddress) high = middle - 1;
            else if (address - region.GuestAddress >= region.Size) low = middle + 1;
            else return true;
        }
        region = null!;
        return false;
    }
}
