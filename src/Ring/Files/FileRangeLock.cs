using Microsoft.Win32.SafeHandles;
using VmShunt.Ring.Interop;

namespace VmShunt.Ring.Files;

/// <summary>
/// Shared locks on single bytes of a file (open file description locks, fcntl(2)). Any number of processes may hold one; it
/// is released when the last descriptor is closed, so also when the process exits. The locks are advisory.
/// </summary>
public static class FileRangeLock
{
    private const int F_OFD_GETLK = 36, F_OFD_SETLK = 37;
    private const short F_RDLCK = 0, F_WRLCK = 1, F_UNLCK = 2;

    /// <summary>Acquires a shared lock on one byte, which need not exist in the file.</summary>
    /// <returns>False when another process holds it exclusively.</returns>
    /// <exception cref="IOException">The file system has no such locks.</exception>
    public static bool TryTake(SafeFileHandle file, long position)
    {
        var range = new Libc.FLock { Type = F_RDLCK, Start = position, Length = 1 };
        if (Libc.Fcntl(file, F_OFD_SETLK, ref range) == 0) return true;
        return LibcError.IsLocked ? false : throw LibcError.Last("locking a file");
    }

    /// <summary>Releases all locks of this descriptor.</summary>
    public static void ReleaseAll(SafeFileHandle file)
    {
        var all = new Libc.FLock { Type = F_UNLCK };
        _ = Libc.Fcntl(file, F_OFD_SETLK, ref all);
    }

    /// <summary>Whether another descriptor holds a lock on a byte.</summary>
    /// <exception cref="IOException">The file system has no such locks.</exception>
    public static bool IsHeldByOther(SafeFileHandle file, long position)
    {
        var range = new Libc.FLock { Type = F_WRLCK, Start = position, Length = 1 };
        return Libc.Fcntl(file, F_OFD_GETLK, ref range) == 0 ? range.Type != F_UNLCK : throw LibcError.Last("reading the locks of a file");
    }
}
