using Microsoft.Win32.SafeHandles;
using VmShunt.Ring.Files;
using VmShunt.Ring.Memory;

namespace VmShunt.HostPartition.Disk;

/// <summary>
/// Requests of any alignment on a file that is open for direct I/O (O_DIRECT), which takes whole blocks from and into
/// aligned memory only. Aligned requests go straight between the file and guest memory; others pass through a bounce
/// buffer, and count as copies. Any thread.
/// </summary>
/// <remarks>
/// Where the file's blocks are larger than a sector, a write of a part of one reads the rest of it first. No other write
/// may come between, so such a write keeps all others away; elsewhere nothing is locked.
/// </remarks>
internal sealed class AlignedIo : IDisposable
{
    private const int SectorBytes = HostClassDriver.SectorBytes, BounceBytes = 256 * 1024;

    private readonly SafeFileHandle _file;
    private readonly SafeFileHandle? _tail;
    private readonly int _memoryAlignment, _block;
    private readonly BouncePool _bounce;
    private readonly ReaderWriterLockSlim? _parts;
    private long _wholeBlocks;
    private long _copiedRequests, _copiedBytes;

    /// <param name="file">Open for direct I/O; stays the caller's.</param>
    /// <param name="direct">What it asks of requests.</param>
    /// <param name="bytes">Its size.</param>
    /// <param name="tail">
    /// The same file without direct I/O; owned. The last block of a file that is no multiple of it cannot be written
    /// directly without making the file longer. Null where blocks are no larger than sectors, or the disk is not written.
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
    internal long CopiedRequests => Interlocked.Read(ref _copiedRequests);

    /// <summary>Their bytes.</summary>
    internal long CopiedBytes => Interlocked.Read(ref _copiedBytes);

    /// <summary>
    /// Whether a request may go to the file as it is, and beside all others: aligned, within whole blocks, and no write where
    /// parts of blocks are written under a lock.
    /// </summary>
    internal bool TakesAsIs(IoVectors pieces, long offset, bool isWrite) => IsAligned(pieces, offset) && (!isWrite || (_parts is null && offset + pieces.TotalBytes <= _wholeBlocks));

    /// <summary>The file has another size now.</summary>
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

    /// <summary>Fills the pieces as far as the file goes; after a short read the list holds what lies past its end.</summary>
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

    /// <summary>Writes the pieces, all of them; when that fails, the list holds what was not written.</summary>
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
                // Leaves room for the block that a part of one is read into.
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

    /// <summary>Writes zeros.</summary>
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

    /// <summary>Writes the first part that can be written in one way: whole blocks, a part of one, or the file's tail.</summary>
    /// <param name="data">Aligned memory.</param>
    /// <param name="block">Aligned memory for one block.</param>
    /// <param name="offset">Where.</param>
    /// <returns>How much of the data.</returns>
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
