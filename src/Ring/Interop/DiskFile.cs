using Microsoft.Win32.SafeHandles;
using VmShunt.Ring.Memory;

namespace VmShunt.Ring.Interop;

/// <summary>
/// Positioned I/O between a file or block device and guest memory, with no copy between: the kernel moves the data
/// straight into or out of the mapping. Any thread; nothing is allocated unless a call fails.
/// </summary>
public static unsafe class DiskFile
{
    private const int FALLOC_FL_KEEP_SIZE = 1, FALLOC_FL_PUNCH_HOLE = 2, FALLOC_FL_ZERO_RANGE = 16;

    /// <summary>Reads into the pieces from <paramref name="offset"/> (bytes). The list is used up.</summary>
    /// <returns>The bytes read; fewer than asked only at the end of the file.</returns>
    /// <exception cref="IOException">The device reported an error.</exception>
    public static long Read(SafeFileHandle file, IoVectors target, long offset)
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
            }
            else if (!LibcError.Interrupted)
            {
                throw LibcError.Last($"reading {target.TotalBytes} bytes at {offset + done}");
            }
        }
        return done;
    }

    /// <summary>Writes the pieces at <paramref name="offset"/> (bytes), all of them. The list is used up.</summary>
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

    /// <summary>Makes what was written durable (<c>fdatasync</c>).</summary>
    /// <exception cref="IOException">The device could not keep what it had accepted.</exception>
    public static void Flush(SafeFileHandle file)
    {
        while (Libc.FDataSync(file) != 0)
        {
            if (!LibcError.Interrupted) throw LibcError.Last("flushing the disk");
        }
    }

    /// <summary>Gives the space of a range back; it reads as zeros afterwards.</summary>
    /// <returns>False where the file system cannot.</returns>
    public static bool TryPunchHole(SafeFileHandle file, long offset, long length) =>
        Libc.FAllocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length) == 0;

    /// <summary>Makes a range read as zeros and keeps its space.</summary>
    /// <returns>False where the file system cannot.</returns>
    public static bool TryZeroRange(SafeFileHandle file, long offset, long length) =>
        Libc.FAllocate(file, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, offset, length) == 0;

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
}
