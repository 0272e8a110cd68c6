using System.IO.MemoryMappedFiles;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace VmShunt.Ring.Memory;

/// <summary>
/// A contiguous range of guest-physical memory, mapped from a file that processes share. Immutable. It stays mapped until
/// this object and every <see cref="GuestMemory"/> that contains it are disposed.
/// </summary>
public sealed class MemoryRegion : IDisposable
{
    private readonly MemoryMappedViewAccessor _view;
    private int _disposed;

    private MemoryRegion(MemoryMappedViewAccessor view, ulong guestAddress, ulong size, ulong userAddress, bool writable)
    {
        _view = view;
        var added = false;
        view.SafeMemoryMappedViewHandle.DangerousAddRef(ref added);
        Base = view.SafeMemoryMappedViewHandle.DangerousGetHandle() + (nint)view.PointerOffset;
        GuestAddress = guestAddress;
        Size = size;
        UserAddress = userAddress;
        IsWritable = writable;
    }

    /// <summary>The first guest-physical address (GPA).</summary>
    public ulong GuestAddress { get; }

    /// <summary>The size in bytes.</summary>
    public ulong Size { get; }

    /// <summary>The region's address in the process that sent it (vhost-user uses such addresses for rings); 0 when unknown.</summary>
    public ulong UserAddress { get; }

    /// <summary>Whether this process may write to it.</summary>
    public bool IsWritable { get; }

    /// <summary>The address of its first byte in this process.</summary>
    internal nint Base { get; }

    internal SafeHandle ViewHandle => _view.SafeMemoryMappedViewHandle;

    /// <summary>Maps part of a file, shared.</summary>
    /// <param name="file">The file; the caller owns it and may close it afterwards.</param>
    /// <param name="fileOffset">The region's offset in the file, in bytes.</param>
    /// <param name="size">The size in bytes.</param>
    /// <param name="guestAddress">The first guest-physical address.</param>
    /// <param name="userAddress">The region's address in the process that sent it, or 0.</param>
    /// <param name="writable">False: map it for reading only.</param>
    /// <exception cref="InvalidDataException">
    /// The region is empty, overflows, or reaches past the end of the file, where an access would raise SIGBUS.
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
            // Disposed at once: it holds a duplicate of the descriptor, which the mapping does not need.
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
        _view.SafeMemoryMappedViewHandle.DangerousRelease();
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
            throw new InvalidDataException($"the descriptor of a memory region is not a file that can be mapped: {e.Message}", e);
        }
    }
}
