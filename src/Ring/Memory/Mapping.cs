using VmShunt.Ring.Interop;

namespace VmShunt.Ring.Memory;

/// <summary>Pages that this process has mapped (mmap(2)). The owner disposes it when no access through it can follow.</summary>
internal sealed class Mapping : IDisposable
{
    private int _disposed;

    private Mapping(nint start, nuint bytes)
    {
        Start = start;
        Bytes = bytes;
    }

    /// <summary>The address of the first byte.</summary>
    internal nint Start { get; }

    internal nuint Bytes { get; }

    /// <summary>The bytes, at most 2 GiB.</summary>
    internal MemoryWindow Window => new(Start, (uint)checked((int)Bytes));

    /// <summary>Maps pages.</summary>
    /// <param name="bytes">The size.</param>
    /// <param name="protection"><c>PROT_…</c>.</param>
    /// <param name="flags"><c>MAP_…</c>.</param>
    /// <param name="file">A descriptor, which the mapping does not need afterwards; −1 with <c>MAP_ANONYMOUS</c>.</param>
    /// <param name="offset">The offset in the file.</param>
    /// <returns>Null when the system refuses; <see cref="LibcError"/> has the reason.</returns>
    internal static Mapping? TryCreate(nuint bytes, int protection, int flags, int file = -1, long offset = 0)
    {
        var start = Libc.MMap(0, bytes, protection, flags, file, offset);
        return start == Libc.MAP_FAILED ? null : new Mapping(start, bytes);
    }

    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) == 0) _ = Libc.MUnmap(Start, Bytes);
    }
}
