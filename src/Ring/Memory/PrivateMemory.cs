using VmShunt.Ring.Interop;

namespace VmShunt.Ring.Memory;

/// <summary>
/// Zeroed memory of this process, in pages of 2 MiB where the system has them, so that random places in much of it cost few
/// misses of the translation cache. It is taken on use, and given back on disposal. Any thread, one owner.
/// </summary>
public sealed unsafe class PrivateMemory : IDisposable
{
    /// <summary>The size of a large page.</summary>
    public const int LargePageBytes = 2 << 20;

    private const nuint LargePage = LargePageBytes;

    private readonly byte* _mapped;
    private readonly byte* _base;
    private readonly nuint _mappedBytes;
    private int _disposed;

    /// <summary>Reserves memory.</summary>
    /// <param name="bytes">How much, at least 1.</param>
    /// <exception cref="IOException">The process has no address space for it.</exception>
    public PrivateMemory(long bytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(bytes);
        Length = bytes;
        _mappedBytes = checked((nuint)bytes + 2 * LargePage);
        _mapped = Libc.MMap(null, _mappedBytes, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_PRIVATE | Libc.MAP_ANONYMOUS | Libc.MAP_NORESERVE, -1, 0);
        if (_mapped == Libc.MAP_FAILED) throw LibcError.Last($"reserving {bytes:n0} bytes of memory");
        _base = (byte*)(((nuint)_mapped + LargePage - 1) & ~(LargePage - 1));
        // A wish: where the system has no large pages for us, small ones do.
        _ = Libc.MAdvise(_base, (nuint)bytes + LargePage - 1 & ~(LargePage - 1), Libc.MADV_HUGEPAGE);
    }

    /// <summary>Gives memory back that its owner forgot.</summary>
    ~PrivateMemory() => Free();

    /// <summary>In bytes.</summary>
    public long Length { get; }

    /// <summary>Bytes from an offset on, at most <paramref name="wanted"/> of them; empty at the end.</summary>
    public Span<byte> At(long offset, int wanted)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentOutOfRangeException.ThrowIfNegative(wanted);
        return offset >= Length ? default : new Span<byte>(_base + offset, (int)Math.Min(wanted, Length - offset));
    }

    /// <summary>Fills the pieces with what lies at an offset; the list stays as it is.</summary>
    /// <param name="target">The pieces.</param>
    /// <param name="offset">In bytes; all that the pieces hold must lie behind it.</param>
    /// <param name="next">Where the next read will likely be, which is fetched meanwhile; a hint, −1 where that is not known.</param>
    /// <exception cref="IOException">Memory of a piece is gone: a file behind it was cut short.</exception>
    public void Read(IoVectors target, long offset, long next = -1)
    {
        ArgumentNullException.ThrowIfNull(target);
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(target.TotalBytes, Length - offset, nameof(target));
        if (!GuardedCopy.IsSupported)
        {
            for (var i = 0; i < target.Count; offset += target[i++].Length) At(offset, target[i].Length).CopyTo(target[i]);
            return;
        }
        if (!target.TryFillFrom(_base + offset, (ulong)next < (ulong)Length ? _base + next : null)) throw new IOException("memory that is being copied is gone");
    }

    /// <summary>Gives whole large pages back: they read as zeros then, and are taken again on use.</summary>
    /// <param name="offset">In bytes, a multiple of <see cref="LargePageBytes"/>.</param>
    /// <param name="bytes">The same.</param>
    /// <returns>False when the system would not: all is as it was.</returns>
    public bool TryGiveBack(long offset, long bytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentOutOfRangeException.ThrowIfNegative(bytes);
        ArgumentOutOfRangeException.ThrowIfNotEqual(offset % LargePageBytes, 0, nameof(offset));
        ArgumentOutOfRangeException.ThrowIfNotEqual(bytes % LargePageBytes, 0, nameof(bytes));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(bytes, Length - offset);
        return Libc.MAdvise(_base + offset, (nuint)bytes, Libc.MADV_DONTNEED) == 0;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Free();
        GC.SuppressFinalize(this);
    }

    private void Free()
    {
        if (Interlocked.Exchange(ref _disposed, 1) == 0 && _mapped != Libc.MAP_FAILED) _ = Libc.MUnmap(_mapped, _mappedBytes);
    }
}
