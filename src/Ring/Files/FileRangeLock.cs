using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using VmShunt.Ring.Interop;

namespace VmShunt.Ring.Files;

/// <summary>
/// Shared locks on single bytes of a file (open file description locks, fcntl(2)): any number of holders, seen by
/// whoever asks, gone with the last descriptor and so with the process. They bind only those who ask.
/// </summary>
public static unsafe class FileRangeLock
{
    private const int F_OFD_GETLK = 36, F_OFD_SETLK = 37;
    private const short F_RDLCK = 0, F_WRLCK = 1, F_UNLCK = 2;

    // The bytes need not exist: locks name positions, not content.
    [StructLayout(LayoutKind.Sequential)]
    private struct FLock
    {
        public short Type;
        public short Whence;
        public long Start;
        public long Length;
        public int ProcessId;
    }

    /// <summary>Takes a shared lock on one byte.</summary>
    /// <returns>False when somebody holds it exclusively.</returns>
    /// <exception cref="IOException">The file system has no such locks.</exception>
    public static bool TryTake(SafeFileHandle file, long position)
    {
        var wish = new FLock { Type = F_RDLCK, Start = position, Length = 1 };
        if (Libc.Fcntl(file, F_OFD_SETLK, (nint)(&wish)) == 0) return true;
        return Marshal.GetLastPInvokeError() is Libc.EAGAIN or Libc.EACCES ? false : throw LibcError.Last("locking a file");
    }

    /// <summary>Gives all locks of this descriptor up.</summary>
    public static void ReleaseAll(SafeFileHandle file)
    {
        var all = new FLock { Type = F_UNLCK };
        _ = Libc.Fcntl(file, F_OFD_SETLK, (nint)(&all));
    }

    /// <summary>Whether anybody else holds a byte.</summary>
    /// <exception cref="IOException">The file system has no such locks.</exception>
    public static bool IsHeldByOther(SafeFileHandle file, long position)
    {
        var question = new FLock { Type = F_WRLCK, Start = position, Length = 1 };
        return Libc.Fcntl(file, F_OFD_GETLK, (nint)(&question)) == 0 ? question.Type != F_UNLCK : throw LibcError.Last("asking for a file's locks");
    }
}
