using System.IO.MemoryMappedFiles;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using VmShunt.Ring.Interop;

namespace VmShunt.Ring.Memory;

/// <summary>
/// A contiguous range of guest-physical memory, mapped from a file that processes share. Immutable. It stays mapped until
/// this object and every <see cref="GuestMemory"/> that contains it are disposed.
/// </summary>
public sealed class MemoryRegion : IDisposable
{
    private readonly SafeHandle _view;
    private readonly nint _offset;
    private int _disposed;

    private MemoryRegion(SafeHandle view, nint offset, ulong guestAddress, ulong size, ulong userAddress, bool writable)
    {
        _view = view;
        _offset = offset;
        var added = false;
        view.DangerousAddRef(ref added);
        Base = view.DangerousGetHandle() + offset;
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

    internal SafeHandle ViewHandle => _view;

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
            return new MemoryRegion(view.SafeMemoryMappedViewHandle, (nint)view.PointerOffset, guestAddress, size, userAddress, writable);
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
        _view.DangerousRelease();
        _view.Dispose();
    }

    /// <summary>Maps the same memory at another address.</summary>
    /// <returns>Null where the system refuses.</returns>
    internal MemoryRegion? TryMove()
    {
        // An old size of 0 leaves the old mapping as it is (mremap(2)).
        var start = Libc.MRemap(Base - _offset, 0, MappedBytes, Libc.MREMAP_MAYMOVE);
        return start == Libc.MAP_FAILED ? null : new MemoryRegion(new View(start, MappedBytes), _offset, GuestAddress, Size, UserAddress, IsWritable);
    }

    /// <summary>
    /// Makes every access fail from now on as if the file behind the memory were truncated: a system call with EFAULT, a copy by
    /// <see cref="BulkCopy"/> with an exception, anything else with SIGBUS.
    /// </summary>
    internal void TakeAway()
    {
        var empty = Libc.MemFdCreate("vmshunt-taken-away", Libc.MFD_CLOEXEC);
        using var file = new SafeFileHandle(empty, ownsHandle: true);
        var start = empty < 0
            ? Libc.MAP_FAILED
            : Libc.MMap(Base - _offset, MappedBytes, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_SHARED | Libc.MAP_FIXED, empty, 0);
        // The memory must not be written to by an old request, whatever it costs this process.
        if (start == Libc.MAP_FAILED) Environment.FailFast("guest memory cannot be taken from the requests of a disk that does not answer");
    }

    private nuint MappedBytes => ((nuint)_offset + (nuint)Size + (nuint)Environment.SystemPageSize - 1) & ~((nuint)Environment.SystemPageSize - 1);

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

    /// <summary>A mapping that <see cref="TryMove"/> made.</summary>
    private sealed class View : SafeHandle
    {
        private readonly nuint _bytes;

        internal View(nint start, nuint bytes)
            : base(Libc.MAP_FAILED, ownsHandle: true)
        {
            _bytes = bytes;
            SetHandle(start);
        }

        public override bool IsInvalid => handle == Libc.MAP_FAILED;

        protected override bool ReleaseHandle() => Libc.MUnmap(handle, _bytes) == 0;
    }
}
