using VmShunt.Ring.Interop;

namespace VmShunt.Ring.Memory;

/// <summary>
/// Zeroed memory of this process, in pages of 2 MiB where the system has them: random accesses then cost few TLB misses. The
/// system allocates a page at the first access and frees all on disposal. Any thread, one owner.
/// </summary>
public sealed class PrivateMemory : IDisposable
{
    /// <summary>The size of a large page.</summary>
    public const int LargePageBytes = 2 << 20;

    private const nuint LargePage = LargePageBytes;

    private readonly Mapping _mapping;
    private readonly nint _base;

    /// <summary>Reserves memory.</summary>
    /// <param name="bytes">The size, at least 1.</param>
    /// <exception cref="IOException">The process has no address space for it.</exception>
    public PrivateMemory(long bytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(bytes);
        Length = bytes;
        _mapping = Mapping.TryCreate(checked((nuint)bytes + 2 * LargePage), Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_PRIVATE | Libc.MAP_ANONYMOUS | Libc.MAP_NORESERVE)
            ?? throw LibcError.Last($"reserving {bytes:n0} bytes of memory");
        _base = (nint)RoundUp((nuint)_mapping.Start);
        // A hint: without large pages the memory works as well.
        _ = Libc.MAdvise(_base, RoundUp((nuint)bytes), Libc.MADV_HUGEPAGE);
    }

    /// <summary>Frees memory whose owner did not dispose it.</summary>
    ~PrivateMemory() => _mapping?.Dispose();

    /// <summary>The size in bytes.</summary>
    public long Length { get; }

    /// <summary>Up to <paramref name="wanted"/> bytes at an offset; empty at the end.</summary>
    public Span<byte> At(long offset, int wanted)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentOutOfRangeException.ThrowIfNegative(wanted);
        return offset >= Length ? default : new MemoryWindow(_base + (nint)offset, (uint)Math.Min(wanted, Length - offset)).Span;
    }

    /// <summary>Copies bytes from an offset into the pieces; the list does not change.</summary>
    /// <param name="target">The pieces.</param>
    /// <param name="offset">In bytes; the memory must hold all bytes of the pieces from there on.</param>
    /// <param name="next">A hint: the offset of the likely next read, which is prefetched; −1: unknown.</param>
    /// <exception cref="IOException">A page of a piece cannot be accessed: its file was truncated, or its device failed.</exception>
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
        if (!target.TryFillFrom(_base + (nint)offset, (ulong)next < (ulong)Length ? _base + (nint)next : 0)) throw GuardedCopy.Failure();
    }

    /// <summary>Frees whole large pages: they read as zeros, and the system allocates them again at the next access.</summary>
    /// <param name="offset">In bytes, a multiple of <see cref="LargePageBytes"/>.</param>
    /// <param name="bytes">The same.</param>
    /// <returns>False when the system refuses; the content is unchanged then.</returns>
    public bool TryFree(long offset, long bytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentOutOfRangeException.ThrowIfNegative(bytes);
        ArgumentOutOfRangeException.ThrowIfNotEqual(offset % LargePageBytes, 0, nameof(offset));
        ArgumentOutOfRangeException.ThrowIfNotEqual(bytes % LargePageBytes, 0, nameof(bytes));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(bytes, Length - offset);
        return Libc.MAdvise(_base + (nint)offset, (nuint)bytes, Libc.MADV_DONTNEED) == 0;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _mapping.Dispose();
        GC.SuppressFinalize(this);
    }

    private static nuint RoundUp(nuint bytes) => (bytes + LargePage - 1) & ~(LargePage - 1);
}
