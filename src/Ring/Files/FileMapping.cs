using Microsoft.Win32.SafeHandles;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;

namespace VmShunt.Ring.Files;

/// <summary>
/// A file or block device mapped for reading: what is in the page cache is copied from there, with no system call. Any
/// thread may read. The file may shrink, and the device fail: a read then says so.
/// </summary>
public sealed unsafe class FileMapping : IDisposable
{
    private readonly byte* _base;
    private readonly long _bytes;
    private int _disposed;

    private FileMapping(byte* start, long bytes)
    {
        _base = start;
        _bytes = bytes;
    }

    /// <summary>Maps a file from its start.</summary>
    /// <param name="file">Open for reading; stays the caller's.</param>
    /// <param name="bytes">How much; a read of more is not possible.</param>
    /// <returns>Null where the file, its file system or this machine cannot be read so.</returns>
    public static FileMapping? TryCreate(SafeFileHandle file, long bytes)
    {
        ArgumentNullException.ThrowIfNull(file);
        if (bytes <= 0 || !GuardedCopy.IsSupported) return null;
        var start = Libc.MMap(null, (nuint)bytes, Libc.PROT_READ, Libc.MAP_SHARED, (int)file.DangerousGetHandle(), 0);
        return start == Libc.MAP_FAILED ? null : new FileMapping(start, bytes);
    }

    /// <summary>
    /// Whether mapped reads of this file would take memory for good: on tmpfs a read of a hole makes a page of the file
    /// then, where a <c>pread</c> only answers zeros.
    /// </summary>
    public static bool WouldFillHoles(SafeFileHandle file)
    {
        const long TmpFs = 0x01021994;
        var system = stackalloc long[Libc.StatFsBytes / sizeof(long)];
        if (Libc.FStatFs(file, system) != 0) return true;
        if (system[0] != TmpFs) return false;
        var status = stackalloc byte[StatX.Bytes];
        return !StatX.TryGet(file, StatX.STATX_SIZE | StatX.STATX_BLOCKS, status)
            || StatX.LongField(status, StatX.Blocks) * StatX.BytesPerBlock < StatX.LongField(status, StatX.Size);
    }

    /// <summary>Fills the pieces with what lies at an offset. The list stays as it is.</summary>
    /// <param name="target">The pieces.</param>
    /// <param name="offset">In bytes.</param>
    /// <param name="next">Where the next read will likely be, which is fetched meanwhile; a hint, −1 where that is not known.</param>
    /// <returns>
    /// False when that is not in the mapping, or could not be read; the pieces hold anything then. Within the file's last
    /// page, what lies past its end reads as zeros.
    /// </returns>
    public bool TryRead(IoVectors target, long offset, long next = -1)
    {
        ArgumentNullException.ThrowIfNull(target);
        if (offset < 0 || offset > _bytes || target.TotalBytes > _bytes - offset) return false;
        return target.TryFillFrom(_base + offset, (ulong)next < (ulong)_bytes ? _base + next : null);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) == 0) _ = Libc.MUnmap(_base, (nuint)_bytes);
    }
}
