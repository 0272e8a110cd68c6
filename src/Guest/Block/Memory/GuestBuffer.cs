using VmShunt.Ring.Memory;

namespace VmShunt.BlockDriver.Memory;

/// <summary>
/// A stretch of guest memory that devices can reach: what block requests read into and write from. A value; it stays
/// allocated until <see cref="GuestPages.Free"/>. While a request on it is in flight its bytes belong to the device.
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

    /// <summary>The first byte's guest-physical address.</summary>
    public ulong Address { get; }

    /// <summary>Bytes.</summary>
    public int Length { get; }

    /// <summary>The bytes, as the processor sees them.</summary>
    public Span<byte> Span => _memory.GetSpan(Address, Length);

    /// <summary>A part of it.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The part is not inside.</exception>
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
