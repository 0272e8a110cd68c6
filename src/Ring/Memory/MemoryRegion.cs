using System.Numerics;
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
    // Its pages fault at once: what TakeAway puts in a region's place. Made before it is needed, when a shortage can be refused.
    private static SafeFileHandle? s_empty;

    private readonly View _view;
    private readonly nint _offset;
    private readonly SafeHandle? _session;
    private int _disposed;

    private MemoryRegion(View view, nint offset, ulong guestAddress, ulong size, ulong userAddress, bool writable, SafeHandle? session)
    {
        _view = view;
        _offset = offset;
        _session = session;
        if (session is not null) FaultTable.SetSocket(view.Fault, (int)session.DangerousGetHandle());
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

    /// <summary>Whether an access found no file behind a page: the peer that owns it has truncated it.</summary>
    public bool WasTruncated => FaultTable.IsHit(_view.Fault);

    /// <summary>Maps part of a file, shared.</summary>
    /// <param name="file">The file; the caller owns it and may close it afterwards.</param>
    /// <param name="fileOffset">The region's offset in the file, in bytes.</param>
    /// <param name="size">The size in bytes.</param>
    /// <param name="guestAddress">The first guest-physical address.</param>
    /// <param name="userAddress">The region's address in the process that sent it, or 0.</param>
    /// <param name="writable">False: map it for reading only.</param>
    /// <param name="session">
    /// The socket of the peer that owns the file; not owned. If the peer truncates the file, an access here reads or writes
    /// private zeros instead, and the receiving half of the socket is shut down: its session is to end. The region must be
    /// disposed before it closes.
    /// </param>
    /// <exception cref="InvalidDataException">
    /// The region is empty, overflows, or reaches past the end of the file, where an access would raise SIGBUS.
    /// </exception>
    public static MemoryRegion Map(
        SafeFileHandle file, ulong fileOffset, ulong size, ulong guestAddress, ulong userAddress = 0, bool writable = true, SafeHandle? session = null)
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
            MakeEmpty();
        }
        catch (IOException e)
        {
            throw new InvalidDataException($"a memory region of {size:n0} bytes cannot be mapped: {e.Message}", e);
        }
        // A file of huge pages is mapped in whole ones; its block size is theirs.
        var page = (ulong)Environment.SystemPageSize;
        if (StatX.TryGet(file, 0, out var status) && BitOperations.IsPow2(status.BlockSize)) page = Math.Max(page, status.BlockSize);
        var skipped = fileOffset & page - 1;
        var bytes = (nuint)Math.Min(RoundUp(skipped + size, page), RoundUp((ulong)length - (fileOffset - skipped), (ulong)Environment.SystemPageSize));
        var protection = writable ? Libc.PROT_READ | Libc.PROT_WRITE : Libc.PROT_READ;
        var start = Libc.MMap(0, bytes, protection, Libc.MAP_SHARED, (int)file.DangerousGetHandle(), (long)(fileOffset - skipped));
        GC.KeepAlive(file);
        return start == Libc.MAP_FAILED
            ? throw new InvalidDataException($"a memory region of {size:n0} bytes cannot be mapped: {LibcError.Last("mapping it").Message}")
            : new MemoryRegion(new View(start, bytes, page), (nint)skipped, guestAddress, size, userAddress, writable, session);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0) return;
        // The session may close before the last user of the memory lets it go.
        FaultTable.SetSocket(_view.Fault, -1);
        _view.DangerousRelease();
        _view.Dispose();
    }

    /// <summary>Maps the same memory at another address.</summary>
    /// <returns>Null where the system refuses.</returns>
    internal MemoryRegion? TryMove()
    {
        // An old size of 0 leaves the old mapping as it is (mremap(2)).
        var start = Libc.MRemap(Base - _offset, 0, _view.Bytes, Libc.MREMAP_MAYMOVE);
        return start == Libc.MAP_FAILED ? null : new MemoryRegion(new View(start, _view.Bytes, _view.PageBytes), _offset, GuestAddress, Size, UserAddress, IsWritable, _session);
    }

    /// <summary>
    /// Makes every access miss the memory from now on: a system call fails with EFAULT, a copy by <see cref="BulkCopy"/> with an
    /// exception, and anything else reads and writes private zeros.
    /// </summary>
    internal void TakeAway()
    {
        FaultTable.SetSocket(_view.Fault, -1);
        var empty = (int)Ordered.Load(ref s_empty)!.DangerousGetHandle();
        var start = Libc.MMap(Base - _offset, _view.Bytes, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_SHARED | Libc.MAP_FIXED, empty, 0);
        // The memory must not be written to by an old request, whatever it costs this process.
        if (start == Libc.MAP_FAILED) Environment.FailFast("guest memory cannot be taken from the requests of a disk that does not answer");
    }

    /// <exception cref="IOException">The process has no descriptor for it.</exception>
    private static void MakeEmpty()
    {
        if (Ordered.Load(ref s_empty) is not null) return;
        var descriptor = Libc.MemFdCreate("vmshunt-taken-away", Libc.MFD_CLOEXEC);
        if (descriptor < 0) throw LibcError.Last("creating the file that takes a region's place");
        var file = new SafeFileHandle(descriptor, ownsHandle: true);
        // Of two threads at once, one keeps its file.
        if (Interlocked.CompareExchange(ref s_empty, file, null) is not null) file.Dispose();
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

    private static ulong RoundUp(ulong bytes, ulong page) => (bytes + page - 1) & ~(page - 1);

    /// <summary>The mapping, as long as it has users.</summary>
    private sealed class View : SafeHandle
    {
        internal View(nint start, nuint bytes, ulong pageBytes)
            : base(Libc.MAP_FAILED, ownsHandle: true)
        {
            (Bytes, PageBytes) = (bytes, pageBytes);
            Fault = FaultTable.Add(start, bytes, pageBytes);
            SetHandle(start);
        }

        public override bool IsInvalid => handle == Libc.MAP_FAILED;

        internal nuint Bytes { get; }

        internal ulong PageBytes { get; }

        /// <summary>Its entry in the <see cref="FaultTable"/>.</summary>
        internal int Fault { get; }

        protected override bool ReleaseHandle()
        {
            FaultTable.Remove(Fault);
            return Libc.MUnmap(handle, Bytes) == 0;
        }
    }
}
