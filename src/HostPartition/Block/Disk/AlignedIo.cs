using Microsoft.Win32.SafeHandles;
using VmShunt.Ring.Files;
using VmShunt.Ring.Memory;

namespace VmShunt.BlockBackend.Disk;

/// <summary>
/// Requests of any alignment on a file that is open for direct I/O (O_DIRECT), which transfers whole blocks to and from
/// aligned memory only. Aligned requests need no copy; others go through a bounce buffer and are counted. Any thread.
/// </summary>
/// <remarks>
/// Where the file's blocks are larger than a sector, a write of part of a block is a read-modify-write and excludes all
/// other writes. Where they are not, nothing is locked.
/// </remarks>
internal sealed class AlignedIo : IDisposable
{
    private const int SectorBytes = HostClassDriver.SectorBytes, BounceBytes = 256 * 1024;

    private readonly SafeFileHandle _file;
    private readonly SafeFileHandle? _tail;
    private readonly int _memoryAlignment, _block;
    private readonly BouncePool _bounce;
    private readonly ReaderWriterLockSlim? _parts;

    // The end of the last whole block. Changes only where there is a lock, and then under it.
    private long _wholeBlocks;
    private long _copiedRequests, _copiedBytes;

    /// <param name="file">Open for direct I/O; not owned.</param>
    /// <param name="direct">The alignment that direct I/O requires.</param>
    /// <param name="bytes">The file's size.</param>
    /// <param name="tail">
    /// The same file without direct I/O, owned: a direct write to an incomplete last block would extend the file. Null where
    /// blocks are no larger than sectors, or the disk is read-only.
    /// </param>
    internal AlignedIo(SafeFileHandle file, DirectIo direct, long bytes, SafeFileHandle? tail)
    {
        _file = file;
        _tail = tail;
        _memoryAlignment = direct.MemoryAlignment;
        _block = direct.BlockBytes;
        _bounce = new BouncePool(BounceBytes, Math.Max(_memoryAlignment, _block));
        if (_block > SectorBytes) _parts = new ReaderWriterLockSlim();
        Resize(bytes);
    }

    /// <summary>Requests that were copied because they were not aligned.</summary>
    internal long CopiedRequests => Ordered.Load(ref _copiedRequests);

    /// <summary>The bytes of those requests.</summary>
    internal long CopiedBytes => Ordered.Load(ref _copiedBytes);

    /// <summary>
    /// Whether a request can go to the file unchanged and without a lock: it is aligned and within whole blocks, and is not a
    /// write on a file where writes of part of a block need the lock.
    /// </summary>
    internal bool CanPassThrough(IoVectors pieces, long offset, bool isWrite) => IsAligned(pieces, offset) && (!isWrite || (_parts is null && offset + pieces.TotalBytes <= _wholeBlocks));

    /// <summary>Notes that the file's size changed.</summary>
    internal void Resize(long bytes)
    {
        _parts?.EnterWriteLock();
        try
        {
            _wholeBlocks = _tail is null ? long.MaxValue : bytes / _block * _block;
        }
        finally
        {
            _parts?.ExitWriteLock();
        }
    }

    /// <summary>Reads up to the end of the file; after a short read the list holds the pieces past the end.</summary>
    /// <returns>The bytes read.</returns>
    internal long Read(IoVectors target, long offset)
    {
        if (IsAligned(target, offset)) return DiskFile.Read(_file, target, offset, _block);
        long read = 0;
        CountCopy(target.TotalBytes);
        var buffer = _bounce.Rent();
        try
        {
            while (target.TotalBytes > 0)
            {
                var skip = (int)((offset + read) % _block);
                var wanted = (int)Math.Min(buffer.Span.Length, RoundUp(skip + target.TotalBytes));
                var got = DiskFile.Read(_file, buffer.Span[..wanted], offset + read - skip, _block);
                var useful = (int)Math.Min(got - skip, target.TotalBytes);
                if (useful <= 0) break;
                target.CopyFrom(buffer.Span.Slice(skip, useful));
                target.Skip(useful);
                read += useful;
                if (got < wanted) break;
            }
            return read;
        }
        finally
        {
            _bounce.Return(buffer);
        }
    }

    /// <summary>Writes all pieces; after a failure the list holds those that were not written.</summary>
    internal void Write(IoVectors source, long offset)
    {
        if (IsAligned(source, offset))
        {
            _parts?.EnterReadLock();
            try
            {
                if (offset + source.TotalBytes <= _wholeBlocks)
                {
                    DiskFile.Write(_file, source, offset);
                    return;
                }
            }
            finally
            {
                _parts?.ExitReadLock();
            }
        }
        CountCopy(source.TotalBytes);
        var buffer = _bounce.Rent();
        try
        {
            while (source.TotalBytes > 0)
            {
                // The first block is the buffer of a read-modify-write.
                var data = buffer.Span[_block..];
                var bytes = source.CopyTo(data);
                var written = WritePart(data[..bytes], buffer.Span[.._block], offset);
                source.Skip(written);
                offset += written;
            }
        }
        finally
        {
            _bounce.Return(buffer);
        }
    }

    internal void WriteZeroes(long offset, long bytes)
    {
        var buffer = _bounce.Rent();
        try
        {
            var data = buffer.Span[_block..];
            data.Clear();
            while (bytes > 0)
            {
                var written = WritePart(data[..(int)Math.Min(data.Length, bytes)], buffer.Span[.._block], offset);
                bytes -= written;
                offset += written;
            }
        }
        finally
        {
            _bounce.Return(buffer);
        }
    }

    public void Dispose()
    {
        _bounce.Dispose();
        _tail?.Dispose();
        _parts?.Dispose();
    }

    /// <summary>Writes as much as one method allows: whole blocks, part of a block, or the file's incomplete last block.</summary>
    /// <param name="data">Aligned memory.</param>
    /// <param name="block">Aligned memory for one block.</param>
    /// <param name="offset">The offset in the file.</param>
    /// <returns>The bytes written.</returns>
    private int WritePart(ReadOnlySpan<byte> data, Span<byte> block, long offset)
    {
        var skip = (int)(offset % _block);
        var isPart = skip > 0 || data.Length < _block;
        if (isPart) _parts?.EnterWriteLock();
        else _parts?.EnterReadLock();
        try
        {
            if (offset >= _wholeBlocks)
            {
                DiskFile.Write(_tail!, data, offset);
                return data.Length;
            }
            if (isPart)
            {
                var bytes = Math.Min(data.Length, _block - skip);
                var got = DiskFile.Read(_file, block, offset - skip, _block);
                block[got..].Clear();
                data[..bytes].CopyTo(block[skip..]);
                DiskFile.Write(_file, block, offset - skip);
                return bytes;
            }
            var whole = (int)Math.Min(data.Length / _block * _block, _wholeBlocks - offset);
            DiskFile.Write(_file, data[..whole], offset);
            return whole;
        }
        finally
        {
            if (isPart) _parts?.ExitWriteLock();
            else _parts?.ExitReadLock();
        }
    }

    private bool IsAligned(IoVectors pieces, long offset) => offset % _block == 0 && pieces.IsAligned(_memoryAlignment, _block);

    private long RoundUp(long bytes) => (bytes + _block - 1) / _block * _block;

    private void CountCopy(long bytes)
    {
        Interlocked.Increment(ref _copiedRequests);
        Interlocked.Add(ref _copiedBytes, bytes);
    }
}
