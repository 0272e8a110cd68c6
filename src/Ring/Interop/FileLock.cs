using Microsoft.Win32.SafeHandles;

namespace VmShunt.Ring.Interop;

/// <summary>
/// A record lock over a whole file (<c>fcntl(2)</c>, F_SETLK). The kernel keeps it for the process until it closes the
/// file or ends, however it ends; who does not ask for locks is not kept out.
/// </summary>
public static unsafe class FileLock
{
    private const int F_GETLK = 5, F_SETLK = 6;
    private const short F_RDLCK = 0, F_WRLCK = 1;

    /// <summary>Takes the lock, alone or together with others who share it. Does not wait.</summary>
    /// <param name="file">Open for writing if exclusive, for reading otherwise.</param>
    /// <param name="exclusive">Whether nobody else may have it.</param>
    /// <param name="holder">The process that has it, or 0 if that cannot be told.</param>
    /// <returns>False when another process has it. A file system without locks counts as taken.</returns>
    public static bool TryTake(SafeFileHandle file, bool exclusive, out int holder)
    {
        holder = 0;
        var asked = new Libc.FLock { Type = exclusive ? F_WRLCK : F_RDLCK };
        if (Libc.Fcntl(file, F_SETLK, (nint)(&asked)) == 0 || !LibcError.IsLocked) return true;
        if (Libc.Fcntl(file, F_GETLK, (nint)(&asked)) == 0 && asked.ProcessId > 0) holder = asked.ProcessId;
        return false;
    }
}
