using System.IO.MemoryMappedFiles;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace VmShunt.Ring.Memory;

/// <summary>
/// One contiguous piece of guest-physical memory, mapped from a file that is shared between processes. Immutable.
/// The mapping lives until this object and every <see cref="GuestMemory"/> that names it are disposed.
/// </summary>
public sealed unsafe class MemoryRegion : IDisposable
{
    private readonly MemoryMappedViewAccessor _view;
    private readonly byte* _base;
    private int _disposed;

    private MemoryRegion(MemoryMappedViewAccessor view, ulong guestAddress, ulong size, ulong userAddress, bool writable)
    {
        _view = view;
        byte* pointer = null;
        view.SafeMemoryMappedViewHandle.AcquirePointer(ref pointer);
        _base = pointer + view.PointerOffset;
        GuestAddress = guestAddress;
        Size = size;
        UserAddress = userAddress;
        IsWritable = writable;
    }

    /// <summary>The first guest-physical address (GPA).</summary>
    public ulong GuestAddress { get; }

    /// <summary>The size in bytes.</summary>
    public ulong Size { get; }

    /// <summary>Where the process that sent the region has it mapped (vhost-user names rings by such addresses); 0 when unknown.</summary>
    public ulong UserAddress { get; }

    /// <summary>Whether this process may write to it.</summary>
    public bool IsWritable { get; }

    internal byte* Base => _base;

    internal SafeHandle ViewHandle => _view.SafeMemoryMappedViewHandle;

    /// <summary>Maps part of a file, shared.</summary>
    /// <param name="file">The file; stays the caller's and may be closed afterwards.</param>
    /// <param name="fileOffset">Where in the file the region starts, in bytes.</param>
    /// <param name="size">The size in bytes.</param>
    /// <param name="guestAddress">The first guest-physical address.</param>
    /// <param name="userAddress">The sender's own address of it, or 0.</param>
    /// <param name="writable">False maps it for reading only.</param>
    /// <exception cref="InvalidDataException">
    /// The region is empty, overflows, or is larger than the file: touching the missing part would end the process.
    /// </exception>
    public static MemoryRegion Map(SafeFileHandle file, ulong fileOffset, ulong size, ulong guestAddress, ulong userAddress = 0, bool writable = true)
    {
        ArgumentNullException.ThrowIfNull(file);
        if (size == 0) throw new InvalidDataException("a memory region of size 0");
        if (size > long.MaxValue || fileOffset > long.MaxValue - size)
            throw new InvalidDataException($"a memory region of {size:n0} bytes at file offset {fileOffset:n0} overflows");
        if (guestAddress > ulong.MaxValue - size || userAddress > ulong.MaxValue - size)
            throw new InvalidDataException($"a memory region of {size:n0} bytes at address {guestAddress:x} (user address {userAddress:x}) overflows");
        var length = FileLength(file);
        if ((ulong)length < fileOffset + size)
            throw new InvalidDataException($"a memory region ends at byte {fileOffset + size:n0} of a file of {length:n0} bytes");

        try
        {
            var access = writable ? MemoryMappedFileAccess.ReadWrite : MemoryMappedFileAccess.Read;
            // It holds a duplicate of the descriptor, which the mapping itself does not need.
            using var mapped = MemoryMappedFile.CreateFromFile(file, null, 0, access, HandleInheritability.None, leaveOpen: true);
            var view = mapped.CreateViewAccessor((long)fileOffset, (long)size, access);
            return new MemoryRegion(view, guestAddress, size, userAddress, writable);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            throw new InvalidDataException($"a memory region of {size:n0} bytes cannot be mapped: {e.Message}", e);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0) return;
        _view.SafeMemoryMappedViewHandle.ReleasePointer();
        _view.Dispose();
    }

    private static long FileLength(SafeFileHandle file)
    {
        try
        {
            return RandomAccess.GetLength(file);
        }
        catch (Exception e) when (e is IOException or NotSupportedException or UnauthorizedAccessException)
        {
            throw new InvalidDataException($"a memory region's descriptor is no file that can be mapped: {e.Message}", e);
        }
    }
}
