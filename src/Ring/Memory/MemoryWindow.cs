using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace VmShunt.Ring.Memory;

/// <summary>
/// A stretch of guest memory that was checked once: base and length are known good, every access is held inside.
/// What is read may change at any time, so each field is read once into a local and then judged. The names of the
/// ordered accessors say the order. Valid while the <see cref="GuestMemory"/> that gave it is alive.
/// </summary>
public readonly unsafe struct MemoryWindow
{
    private readonly byte* _base;
    private readonly uint _length;

    internal MemoryWindow(byte* start, uint length)
    {
        _base = start;
        _length = length;
    }

    /// <summary>The length in bytes.</summary>
    public int Length => (int)_length;

    /// <summary>The bytes themselves, for data whose order does not matter.</summary>
    public Span<byte> Span => new(_base, (int)_length);

    /// <summary>Copies a value out once. The copy is the reader's; the memory may differ a moment later.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The value would reach past the window.</exception>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public T Read<T>(int offset) where T : unmanaged
    {
        Check(offset, sizeof(T));
        return Unsafe.ReadUnaligned<T>(_base + offset);
    }

    /// <summary>Copies a value in.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The value would reach past the window.</exception>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Write<T>(int offset, T value) where T : unmanaged
    {
        Check(offset, sizeof(T));
        Unsafe.WriteUnaligned(_base + offset, value);
    }

    /// <summary>Reads an index or flags word; nothing after this read is seen from before it.</summary>
    /// <param name="offset">A multiple of two.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ushort ReadUInt16Acquire(int offset)
    {
        Check(offset, sizeof(ushort));
        return Volatile.Read(ref *(ushort*)(_base + offset));
    }

    /// <summary>Writes an index or flags word with one 16-bit store, after everything written before it.</summary>
    /// <param name="offset">A multiple of two.</param>
    /// <param name="value">The new value.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void WriteUInt16Release(int offset, ushort value)
    {
        Check(offset, sizeof(ushort));
        Volatile.Write(ref *(ushort*)(_base + offset), value);
    }

    /// <summary>Writes a word with one 32-bit store, after everything written before it.</summary>
    /// <param name="offset">A multiple of four.</param>
    /// <param name="value">The new value.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void WriteUInt32Release(int offset, uint value)
    {
        Check(offset, sizeof(uint));
        Volatile.Write(ref *(uint*)(_base + offset), value);
    }

    /// <summary>Writes a double word with one 64-bit store, after everything written before it.</summary>
    /// <param name="offset">A multiple of eight.</param>
    /// <param name="value">The new value.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void WriteUInt64Release(int offset, ulong value)
    {
        Check(offset, sizeof(ulong));
        Volatile.Write(ref *(ulong*)(_base + offset), value);
    }

    /// <summary>
    /// Has the cache line at an offset fetched, for a read that is about to come. A hint: it waits for nothing, and where
    /// the offset is outside, or the memory is gone, nothing happens.
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
