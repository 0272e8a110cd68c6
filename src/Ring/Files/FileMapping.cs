using Microsoft.Win32.SafeHandles;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;

namespace VmShunt.Ring.Files;

/// <summary>
/// A file or block device mapped for reading: cached pages are copied without a system call. Any thread may read. A read
/// fails when the file was truncated or the device reports an error.
/// </summary>
public sealed class FileMapping : IDisposable
{
    private readonly Mapping _mapping;
    private readonly long _bytes;

    private FileMapping(Mapping mapping, long bytes)
    {
        _mapping = mapping;
        _bytes = bytes;
    }

    /// <summary>Maps a file from its start.</summary>
    /// <param name="file">Open for reading; the caller owns it.</param>
    /// <param name="bytes">The size of the mapping, which limits the reads.</param>
    /// <returns>Null where the file, its file system or this machine does not support it.</returns>
    public static FileMapping? TryCreate(SafeFileHandle file, long bytes)
    {
        ArgumentNullException.ThrowIfNull(file);
        if (bytes <= 0 || !GuardedCopy.IsSupported) return null;
        return Mapping.TryCreate((nuint)bytes, Libc.PROT_READ, Libc.MAP_SHARED, (int)file.DangerousGetHandle()) is { } mapping ? new FileMapping(mapping, bytes) : null;
    }

    /// <summary>
    /// Whether mapped reads of this file would allocate memory: on tmpfs, a mapped read of a hole adds a page to the file,
    /// where a <c>pread</c> only returns zeros.
    /// </summary>
    public static bool WouldFillHoles(SafeFileHandle file)
    {
        const long TmpFs = 0x01021994;
        if (Libc.FStatFs(file, out var fileSystem) != 0) return true;
        if (fileSystem.Type != TmpFs) return false;
        return !StatX.TryGet(file, StatX.STATX_SIZE | StatX.STATX_BLOCKS, out var status) || status.Blocks * StatX.BytesPerBlock < status.Size;
    }

    /// <summary>Copies bytes from an offset into the pieces. The list does not change.</summary>
    /// <param name="target">The pieces.</param>
    /// <param name="offset">In bytes.</param>
    /// <param name="next">A hint: the offset of the likely next read, which is prefetched; −1: unknown.</param>
    /// <returns>
    /// False when the range is outside of the mapping, or a page cannot be read; the content of the pieces is undefined then.
    /// Within the file's last page, bytes past the end of the file read as zeros.
    /// </returns>
    public bool TryRead(IoVectors target, long offset, long next = -1)
    {
        ArgumentNullException.ThrowIfNull(target);
        if (offset < 0 || offset > _bytes || target.TotalBytes > _bytes - offset) return false;
        return target.TryFillFrom(_mapping.Start + (nint)offset, (ulong)next < (ulong)_bytes ? _mapping.Start + (nint)next : 0);
    }

    /// <inheritdoc/>
    public void Dispose() => _mapping.Dispose();
}
