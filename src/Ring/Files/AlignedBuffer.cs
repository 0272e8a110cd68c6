using System.Runtime.InteropServices;
using VmShunt.Ring.Memory;

namespace VmShunt.Ring.Files;

/// <summary>Memory of this process that starts at a multiple of a size, as direct I/O requires. One owner at a time.</summary>
public sealed class AlignedBuffer : IDisposable
{
    private readonly MemoryWindow _window;
    private nint _allocated;

    /// <summary>Allocates memory; its content is undefined.</summary>
    /// <param name="bytes">The size.</param>
    /// <param name="alignment">A power of two.</param>
    public AlignedBuffer(int bytes, int alignment)
    {
        _allocated = Marshal.AllocHGlobal((nint)bytes + alignment - 1);
        _window = new MemoryWindow((_allocated + alignment - 1) & -(nint)alignment, (uint)bytes);
    }

    /// <summary>Frees memory whose owner did not dispose it.</summary>
    ~AlignedBuffer() => Free();

    /// <summary>The memory; empty after disposal.</summary>
    public Span<byte> Span => _allocated == 0 ? default : _window.Span;

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
