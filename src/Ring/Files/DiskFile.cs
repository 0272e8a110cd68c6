using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;

namespace VmShunt.Ring.Files;

/// <summary>
/// Zero-copy I/O between a file or block device and guest memory: the kernel transfers the data directly from or to the
/// mapping. Any thread; nothing is allocated unless a call fails.
/// </summary>
public static class DiskFile
{
    private const int FALLOC_FL_KEEP_SIZE = 1, FALLOC_FL_PUNCH_HOLE = 2, FALLOC_FL_ZERO_RANGE = 16;

    /// <summary>Reads into the pieces from <paramref name="offset"/> (bytes). Consumes the list.</summary>
    /// <param name="file">The file.</param>
    /// <param name="target">The pieces. After a short read the list holds the part that was not read.</param>
    /// <param name="offset">The offset in the file.</param>
    /// <param name="block">
    /// The block size of direct I/O, or 1. A read that returns a part of a block has reached the end of the file; a read that
    /// continued from there would fail as misaligned.
    /// </param>
    /// <returns>The bytes read; fewer than the pieces hold only at the end of the file.</returns>
    /// <exception cref="IOException">The device reported an error.</exception>
    public static long Read(SafeFileHandle file, IoVectors target, long offset, int block = 1)
    {
        ArgumentNullException.ThrowIfNull(target);
        long read = 0;
        while (target.TotalBytes > 0)
        {
            var pieces = target.Pieces;
            var n = pieces.Length == 1
                ? Libc.PRead(file, pieces[0].Address, pieces[0].Length, offset + read)
                : Libc.PReadV(file, in MemoryMarshal.GetReference(pieces), pieces.Length, offset + read);
            if (n == 0) break;
            if (n > 0)
            {
                read += n;
                if (n == target.TotalBytes) break;
                target.Skip(n);
                if (n % block != 0) break;
            }
            else if (!LibcError.Interrupted)
            {
                throw LibcError.Last($"reading {target.TotalBytes} bytes at {offset + read}");
            }
        }
        return read;
    }

    /// <summary>Reads into memory of this process; otherwise as <see cref="Read(SafeFileHandle, IoVectors, long, int)"/>.</summary>
    public static int Read(SafeFileHandle file, Span<byte> target, long offset, int block = 1)
    {
        var read = 0;
        while (read < target.Length)
        {
            var rest = target[read..];
            var n = (int)Libc.PRead(file, ref MemoryMarshal.GetReference(rest), (nuint)rest.Length, offset + read);
            if (n > 0) read += n;
            if (n == 0 || (n > 0 && n % block != 0)) break;
            if (n < 0 && !LibcError.Interrupted) throw LibcError.Last($"reading {target.Length - read} bytes at {offset + read}");
        }
        return read;
    }

    /// <summary>
    /// Writes all of the pieces at <paramref name="offset"/> (bytes). When it fails, the list holds the part that was not
    /// written.
    /// </summary>
    /// <exception cref="IOException">The device reported an error, or is full.</exception>
    public static void Write(SafeFileHandle file, IoVectors source, long offset)
    {
        ArgumentNullException.ThrowIfNull(source);
        while (source.TotalBytes > 0)
        {
            var pieces = source.Pieces;
            var n = pieces.Length == 1
                ? Libc.PWrite(file, pieces[0].Address, pieces[0].Length, offset)
                : Libc.PWriteV(file, in MemoryMarshal.GetReference(pieces), pieces.Length, offset);
            if (n > 0)
            {
                offset += n;
                if (n == source.TotalBytes) return;
                source.Skip(n);
            }
            else if (n == 0 || !LibcError.Interrupted)
            {
                throw LibcError.Last($"writing {source.TotalBytes} bytes at {offset}");
            }
        }
    }

    /// <summary>Writes memory of this process, all of it.</summary>
    /// <exception cref="IOException">The device reported an error, or is full.</exception>
    public static void Write(SafeFileHandle file, ReadOnlySpan<byte> source, long offset)
    {
        while (!source.IsEmpty)
        {
            var n = (int)Libc.PWrite(file, in MemoryMarshal.GetReference(source), (nuint)source.Length, offset);
            if (n > 0)
            {
                source = source[n..];
                offset += n;
            }
            else if (n == 0 || !LibcError.Interrupted)
            {
                throw LibcError.Last($"writing {source.Length} bytes at {offset}");
            }
        }
    }

    /// <summary>Makes completed writes durable (<c>fdatasync</c>).</summary>
    /// <exception cref="IOException">The device failed to store them.</exception>
    public static void Flush(SafeFileHandle file)
    {
        while (Libc.FDataSync(file) != 0)
        {
            if (!LibcError.Interrupted) throw LibcError.Last("flushing the disk");
        }
    }

    /// <summary>Frees the space of a range, which reads as zeros afterwards. Files and block devices.</summary>
    /// <returns>False where the file system or device does not support it.</returns>
    public static bool TryPunchHole(SafeFileHandle file, long offset, long length) =>
        Libc.FAllocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length) == 0;

    /// <summary>Writes zeros to a range of a file and keeps its space.</summary>
    /// <returns>False where the file system does not support it.</returns>
    public static bool TryZeroRange(SafeFileHandle file, long offset, long length) =>
        Libc.FAllocate(file, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, offset, length) == 0;

    /// <summary>Discards a range of a block device; the device decides what it reads as afterwards.</summary>
    /// <returns>False where the device does not support it, or the range is not aligned to its blocks.</returns>
    public static bool TryDiscardBlocks(SafeFileHandle device, long offset, long length) => TryRange(device, Libc.BLKDISCARD, offset, length);

    /// <summary>Writes zeros to a range of a block device and keeps its space.</summary>
    /// <returns>False where the range is not aligned to its blocks.</returns>
    public static bool TryZeroBlocks(SafeFileHandle device, long offset, long length) => TryRange(device, Libc.BLKZEROOUT, offset, length);

    /// <summary>The size in bytes of a regular file or a block device; 0 for a device that has none.</summary>
    /// <exception cref="IOException">It is a pipe or a socket.</exception>
    public static long GetSize(SafeFileHandle file)
    {
        ulong bytes = 0;
        if (Libc.Ioctl(file, Libc.BLKGETSIZE64, ref bytes) == 0) return (long)bytes;
        try
        {
            return RandomAccess.GetLength(file);
        }
        catch (NotSupportedException e)
        {
            throw new IOException("a pipe or a socket has no size", e);
        }
    }

    /// <summary>Whether an operation failed for lack of space: the device, or the owner's quota, is full.</summary>
    public static bool IsFull(IOException failure)
    {
        ArgumentNullException.ThrowIfNull(failure);
        return failure.HResult is Libc.ENOSPC or Libc.EDQUOT;
    }

    /// <summary>Whether an operation failed because of its memory: the file behind that was truncated, or it was taken away.</summary>
    public static bool IsMemoryFault(IOException failure)
    {
        ArgumentNullException.ThrowIfNull(failure);
        return failure.HResult == Libc.EFAULT;
    }

    private static bool TryRange(SafeFileHandle device, nuint request, long offset, long length)
    {
        Span<ulong> range = [(ulong)offset, (ulong)length];
        return Libc.Ioctl(device, request, ref range[0]) == 0;
    }
}
