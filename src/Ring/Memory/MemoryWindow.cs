using System.Buffers;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace VmShunt.Ring.Memory;

/// <summary>
/// A checked range of memory that others write, too: a guest's, or a ring that the kernel shares. Every access is checked
/// against the length. Memory may change at any time, so read a field once into a local before validating it. The names of
/// the ordered accessors state the order. Valid until the <see cref="GuestMemory"/> that returned it is disposed.
/// </summary>
public readonly unsafe struct MemoryWindow
{
    private readonly byte* _base;
    private readonly uint _length;

    internal MemoryWindow(nint start, uint length)
    {
        _base = (byte*)start;
        _length = length;
    }

    /// <summary>The length in bytes.</summary>
    public int Length => (int)_length;

    /// <summary>The bytes, for data whose order does not matter.</summary>
    public Span<byte> Span => new(_base, (int)_length);

    /// <summary>A pointer for code that needs one, as <see cref="MemoryManager{T}.Pin"/> returns it. Shared memory does not move.</summary>
    /// <param name="offset">The first byte.</param>
    /// <param name="owner">Is unpinned when the handle is disposed. It keeps the memory mapped until then.</param>
    /// <exception cref="ArgumentOutOfRangeException">The offset is past the window.</exception>
    public MemoryHandle Pin(int offset, IPinnable owner)
    {
        Check(offset, 0);
        return new MemoryHandle(_base + offset, pinnable: owner);
    }

    /// <summary>Reads a value once.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The value reaches past the window.</exception>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public T Read<T>(int offset) where T : unmanaged
    {
        Check(offset, sizeof(T));
        return Unsafe.ReadUnaligned<T>(_base + offset);
    }

    /// <summary>Writes a value.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The value reaches past the window.</exception>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Write<T>(int offset, T value) where T : unmanaged
    {
        Check(offset, sizeof(T));
        Unsafe.WriteUnaligned(_base + offset, value);
    }

    /// <summary>Reads a word with one 16-bit load; later reads are not moved before it.</summary>
    /// <param name="offset">A multiple of two.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ushort ReadUInt16Acquire(int offset)
    {
        Check(offset, sizeof(ushort));
        return Volatile.Read(ref *(ushort*)(_base + offset));
    }

    /// <summary>Reads a word with one 32-bit load; later reads are not moved before it.</summary>
    /// <param name="offset">A multiple of four.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal uint ReadUInt32Acquire(int offset)
    {
        Check(offset, sizeof(uint));
        return Volatile.Read(ref *(uint*)(_base + offset));
    }

    /// <summary>Writes a word with one 16-bit store; earlier writes are visible before it.</summary>
    /// <param name="offset">A multiple of two.</param>
    /// <param name="value">The new value.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void WriteUInt16Release(int offset, ushort value)
    {
        Check(offset, sizeof(ushort));
        Volatile.Write(ref *(ushort*)(_base + offset), value);
    }

    /// <summary>Writes a word with one 32-bit store; earlier writes are visible before it.</summary>
    /// <param name="offset">A multiple of four.</param>
    /// <param name="value">The new value.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void WriteUInt32Release(int offset, uint value)
    {
        Check(offset, sizeof(uint));
        Volatile.Write(ref *(uint*)(_base + offset), value);
    }

    /// <summary>Writes a word with one 64-bit store; earlier writes are visible before it.</summary>
    /// <param name="offset">A multiple of eight.</param>
    /// <param name="value">The new value.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void WriteUInt64Release(int offset, ulong value)
    {
        Check(offset, sizeof(ulong));
        Volatile.Write(ref *(ulong*)(_base + offset), value);
    }

    /// <summary>Sets bits of a word atomically. Earlier writes are visible before it, and later accesses are not moved before it.</summary>
    /// <param name="offset">A multiple of eight.</param>
    /// <param name="bits">The bits to set.</param>
    internal void SetBits(int offset, ulong bits)
    {
        Check(offset, sizeof(ulong));
        Interlocked.Or(ref *(ulong*)(_base + offset), bits);
    }

    /// <summary>
    /// Prefetches the cache line at an offset. Does not wait for it, and has no effect where the offset is outside or the
    /// page cannot be accessed.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Prefetch(int offset)
    {
        if (Sse.IsSupported && (uint)offset < _length) Sse.Prefetch0(_base + offset);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Check(int offset, int size)
    {
        if ((uint)offset > _length || (uint)size > _length - (uint)offset) ThrowOutside(offset, size);
    }

    [DoesNotReturn]
    private void ThrowOutside(int offset, int size) =>
        throw new ArgumentOutOfRangeException(nameof(offset), $"{size} bytes at {offset} reach past a window of {_length} bytes");
}
