using VmShunt.Ring.Memory;

namespace VmShunt.BlockDriver.Memory;

/// <summary>
/// A range of guest memory that devices can access, used as the data of block requests. A value type; the memory stays
/// allocated until <see cref="GuestPages.Free"/>. While a request on it is in flight, its bytes belong to the device. Any thread.
/// </summary>
public readonly struct GuestBuffer
{
    private readonly GuestMemory _memory;

    internal GuestBuffer(GuestMemory memory, ulong address, int length)
    {
        _memory = memory;
        Address = address;
        Length = length;
    }

    /// <summary>The guest-physical address.</summary>
    public ulong Address { get; }

    /// <summary>The length in bytes.</summary>
    public int Length { get; }

    /// <summary>The bytes. The span must not be used after the memory was unmapped.</summary>
    public Span<byte> Span => _memory.GetSpan(Address, Length);

    /// <summary>A part of the buffer.</summary>
    /// <param name="start">Its first byte.</param>
    /// <param name="length">Its length in bytes.</param>
    /// <exception cref="ArgumentOutOfRangeException">The part is not inside the buffer.</exception>
    public GuestBuffer Slice(int start, int length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(start);
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(start, Length - length);
        return new GuestBuffer(_memory, Address + (ulong)start, length);
    }

    internal MemoryWindow Window => _memory.TryGetWindow(Address, Length, out var window)
        ? window
        : throw new InvalidOperationException("an empty buffer has no window");
}
