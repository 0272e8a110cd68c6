using Microsoft.Win32.SafeHandles;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;

namespace VmShunt.Ring.Files;

/// <summary>
/// Positioned I/O between a file or block device and guest memory, with no copy between: the kernel moves the data
/// straight into or out of the mapping. Any thread; nothing is allocated unless a call fails.
/// </summary>
public static unsafe class DiskFile
{
    private const int FALLOC_FL_KEEP_SIZE = 1, FALLOC_FL_PUNCH_HOLE = 2, FALLOC_FL_ZERO_RANGE = 16;

    /// <summary>Reads into the pieces from <paramref name="offset"/> (bytes). The list is used up.</summary>
    /// <param name="file">The file.</param>
    /// <param name="target">Where to. After a short read it holds what was not read.</param>
    /// <param name="offset">Where from.</param>
    /// <param name="block">
    /// The block of direct I/O, or 1. A read that ends inside a block has met the end of the file, and one that went on
    /// from there would be refused as misaligned.
    /// </param>
    /// <returns>The bytes read; fewer than asked only at the end of the file.</returns>
    /// <exception cref="IOException">The device reported an error.</exception>
    public static long Read(SafeFileHandle file, IoVectors target, long offset, int block = 1)
    {
        ArgumentNullException.ThrowIfNull(target);
        long done = 0;
        while (target.TotalBytes > 0)
        {
            nint n;
            fixed (IoVector* pieces = target.Pieces)
            {
                n = target.Count == 1
                    ? Libc.PRead(file, (void*)pieces->Address, pieces->Length, offset + done)
                    : Libc.PReadV(file, pieces, target.Count, offset + done);
            }
            if (n == 0) break;
            if (n > 0)
            {
                done += n;
                if (n == target.TotalBytes) break;
                target.Skip(n);
                if (n % block != 0) break;
            }
            else if (!LibcError.Interrupted)
            {
                throw LibcError.Last($"reading {target.TotalBytes} bytes at {offset + done}");
            }
        }
        return done;
    }

    /// <summary>Reads into memory of this process; otherwise as the other.</summary>
    public static int Read(SafeFileHandle file, Span<byte> target, long offset, int block = 1)
    {
        var done = 0;
        fixed (byte* start = target)
        {
            while (done < target.Length)
            {
                var n = (int)Libc.PRead(file, start + done, (nuint)(target.Length - done), offset + done);
                if (n > 0) done += n;
                if (n == 0 || (n > 0 && n % block != 0)) break;
                if (n < 0 && !LibcError.Interrupted) throw LibcError.Last($"reading {target.Length - done} bytes at {offset + done}");
            }
        }
        return done;
    }

    /// <summary>
    /// Writes the pieces at <paramref name="offset"/> (bytes), all of them. When it fails, the pieces that were written
    /// are no longer in the list.
    /// </summary>
    /// <exception cref="IOException">The device reported an error, or is full.</exception>
    public static void Write(SafeFileHandle file, IoVectors source, long offset)
    {
        ArgumentNullException.ThrowIfNull(source);
        while (source.TotalBytes > 0)
        {
            nint n;
            fixed (IoVector* pieces = source.Pieces)
            {
                n = source.Count == 1
                    ? Libc.PWrite(file, (void*)pieces->Address, pieces->Length, offset)
                    : Libc.PWriteV(file, pieces, source.Count, offset);
            }
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
        var done = 0;
        fixed (byte* start = source)
        {
            while (done < source.Length)
            {
                var n = (int)Libc.PWrite(file, start + done, (nuint)(source.Length - done), offset + done);
                if (n > 0) done += n;
                else if (n == 0 || !LibcError.Interrupted) throw LibcError.Last($"writing {source.Length - done} bytes at {offset + done}");
            }
        }
    }

    /// <summary>Makes what was written durable (<c>fdatasync</c>).</summary>
    /// <exception cref="IOException">The device could not keep what it had accepted.</exception>
    public static void Flush(SafeFileHandle file)
    {
        while (Libc.FDataSync(file) != 0)
        {
            if (!LibcError.Interrupted) throw LibcError.Last("flushing the disk");
        }
    }

    /// <summary>Gives the space of a range back; it reads as zeros afterwards. Files and block devices.</summary>
    /// <returns>False where the file system or device cannot.</returns>
    public static bool TryPunchHole(SafeFileHandle file, long offset, long length) =>
        Libc.FAllocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length) == 0;

    /// <summary>Makes a range of a file read as zeros and keeps its space.</summary>
    /// <returns>False where the file system cannot.</returns>
    public static bool TryZeroRange(SafeFileHandle file, long offset, long length) =>
        Libc.FAllocate(file, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, offset, length) == 0;

    /// <summary>Tells a block device that a range is not used; what it reads as afterwards is the device's choice.</summary>
    /// <returns>False where the device cannot, or the range does not suit its blocks.</returns>
    public static bool TryDiscardBlocks(SafeFileHandle device, long offset, long length) => TryRange(device, Libc.BLKDISCARD, offset, length);

    /// <summary>Makes a range of a block device read as zeros and keeps its space.</summary>
    /// <returns>False where the range does not suit its blocks.</returns>
    public static bool TryZeroBlocks(SafeFileHandle device, long offset, long length) => TryRange(device, Libc.BLKZEROOUT, offset, length);

    /// <summary>The size in bytes of a regular file or a block device; 0 for a device that has none.</summary>
    /// <exception cref="IOException">It is a pipe or a socket.</exception>
    public static long GetSize(SafeFileHandle file)
    {
        ulong bytes;
        if (Libc.Ioctl(file, Libc.BLKGETSIZE64, &bytes) == 0) return (long)bytes;
        try
        {
            return RandomAccess.GetLength(file);
        }
        catch (NotSupportedException e)
        {
            throw new IOException("a pipe or a socket has no size", e);
        }
    }

    /// <summary>Whether an operation failed because there is no room: the device or the owner's quota is full.</summary>
    public static bool IsFull(IOException failure)
    {
        ArgumentNullException.ThrowIfNull(failure);
        return failure.HResult is Libc.ENOSPC or Libc.EDQUOT;
    }

    private static bool TryRange(SafeFileHandle device, nuint request, long offset, long length)
    {
        var range = stackalloc ulong[] { (ulong)offset, (ulong)length };
        return Libc.Ioctl(device, request, range) == 0;
    }
}
