using System.Runtime.InteropServices;
using VmShunt.Ring.Memory;

namespace VmShunt.Ring.Files;

/// <summary>Memory of this process that starts at a multiple of a size, as direct I/O requires. One owner at a time.</summary>
public sealed class AlignedBuffer : IDisposable
{
    private readonly MemoryWindow _window;
    private readonly nint _start;
    private nint _allocated;

    /// <summary>Allocates memory; its content is undefined.</summary>
    /// <param name="bytes">The size.</param>
    /// <param name="alignment">A power of two.</param>
    public AlignedBuffer(int bytes, int alignment)
    {
        _allocated = Marshal.AllocHGlobal((nint)bytes + alignment - 1);
        _start = (_allocated + alignment - 1) & -(nint)alignment;
        _window = new MemoryWindow(_start, (uint)bytes);
    }

    /// <summary>Frees memory whose owner did not dispose it.</summary>
    ~AlignedBuffer() => Free();

    /// <summary>The memory; empty after disposal.</summary>
    public Span<byte> Span => _allocated == 0 ? default : _window.Span;

    /// <summary>Adds the first bytes of the buffer to a list for disk I/O, which is valid until the buffer is disposed.</summary>
    /// <param name="target">A list with room for one more piece.</param>
    /// <param name="bytes">How many.</param>
    /// <exception cref="ArgumentOutOfRangeException">The buffer has fewer bytes, or the list has no room.</exception>
    public void AppendTo(IoVectors target, int bytes)
    {
        ArgumentNullException.ThrowIfNull(target);
        if ((uint)bytes > (uint)Span.Length || !target.TryAdd(_start, (ulong)bytes))
            throw new ArgumentOutOfRangeException(nameof(bytes), $"{bytes} bytes of a buffer of {Span.Length}, to a list of {target.Count} pieces");
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Free();
        GC.SuppressFinalize(this);
    }

    private void Free()
    {
        Marshal.FreeHGlobal(_allocated);
        _allocated = 0;
    }
}
