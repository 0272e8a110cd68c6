using System.Runtime.InteropServices;

namespace VmShunt.Ring.Files;

/// <summary>Memory of this process that starts at a multiple of a size, as direct I/O wants it. One owner at a time.</summary>
public sealed unsafe class AlignedBuffer : IDisposable
{
    private readonly int _length;
    private void* _start;

    /// <summary>Takes memory; its content is whatever it was.</summary>
    /// <param name="bytes">How much.</param>
    /// <param name="alignment">A power of two.</param>
    public AlignedBuffer(int bytes, int alignment)
    {
        _start = NativeMemory.AlignedAlloc((nuint)bytes, (nuint)alignment);
        _length = bytes;
    }

    /// <summary>Gives memory back that its owner forgot.</summary>
    ~AlignedBuffer() => Free();

    /// <summary>The memory; not to be used after disposal.</summary>
    public Span<byte> Span => new(_start, _start is null ? 0 : _length);

    /// <inheritdoc/>
    public void Dispose()
    {
        Free();
        GC.SuppressFinalize(this);
    }

    private void Free()
    {
        NativeMemory.AlignedFree(_start);
        _start = null;
    }
}
