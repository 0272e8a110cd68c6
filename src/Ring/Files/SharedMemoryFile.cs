using Microsoft.Win32.SafeHandles;
using VmShunt.Ring.Interop;

namespace VmShunt.Ring.Files;

/// <summary>
/// Creates the file behind a guest's memory: anonymous, shared by passing its descriptor, and sealed, so that a process that
/// receives the descriptor cannot shrink the file under another process's mapping.
/// </summary>
public static class SharedMemoryFile
{
    /// <summary>Creates a sealed file of zeros; the caller owns it.</summary>
    /// <param name="name">The name in <c>/proc/PID/maps</c>.</param>
    /// <param name="bytes">The size; the system allocates a page at the first access.</param>
    /// <exception cref="IOException">The system call failed.</exception>
    public static SafeFileHandle Create(string name, long bytes) => Create(name, bytes, Libc.F_SEAL_SHRINK | Libc.F_SEAL_GROW | Libc.F_SEAL_SEAL);

    /// <summary>As <see cref="Create(string, long)"/>, but <see cref="SealContent"/> can still make the content final.</summary>
    /// <param name="name">The name in <c>/proc/PID/maps</c>.</param>
    /// <param name="bytes">The size; the system allocates a page at the first access.</param>
    /// <exception cref="IOException">The system call failed.</exception>
    public static SafeFileHandle CreateForSealing(string name, long bytes) => Create(name, bytes, Libc.F_SEAL_SHRINK | Libc.F_SEAL_GROW);

    /// <summary>Makes the content final: no process can write to the file from now on. No writable mapping may exist.</summary>
    /// <exception cref="IOException">The system call failed.</exception>
    public static void SealContent(SafeFileHandle file)
    {
        if (Libc.Fcntl(file, Libc.F_ADD_SEALS, Libc.F_SEAL_WRITE | Libc.F_SEAL_SEAL) < 0) throw LibcError.Last("sealing the content of shared memory");
    }

    /// <summary>Opens a second descriptor of the same file, for reading only.</summary>
    /// <exception cref="IOException">The system call failed.</exception>
    public static SafeFileHandle OpenForReading(SafeFileHandle file)
    {
        ArgumentNullException.ThrowIfNull(file);
        try
        {
            return File.OpenHandle($"/proc/self/fd/{file.DangerousGetHandle()}", FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        }
        finally
        {
            GC.KeepAlive(file);
        }
    }

    /// <summary>Frees the pages of a range; every process then reads zeros there.</summary>
    public static void Release(SafeFileHandle file, long offset, long bytes) => _ = DiskFile.TryPunchHole(file, offset, bytes);

    private static SafeFileHandle Create(string name, long bytes, int seals)
    {
        var fd = Libc.MemFdCreate(name, Libc.MFD_CLOEXEC | Libc.MFD_ALLOW_SEALING);
        if (fd < 0) throw LibcError.Last("creating shared memory");
        var handle = new SafeFileHandle(fd, ownsHandle: true);
        try
        {
            RandomAccess.SetLength(handle, bytes);
            if (Libc.Fcntl(handle, Libc.F_ADD_SEALS, seals) < 0)
                throw LibcError.Last("sealing shared memory");
            return handle;
        }
        catch
        {
            handle.Dispose();
            throw;
        }
    }

    /// <summary>Whether a file is sealed against shrinking, so that an access to its mapping cannot fault later.</summary>
    public static bool CannotShrink(SafeFileHandle file)
    {
        var seals = Libc.Fcntl(file, Libc.F_GET_SEALS, 0);
        return seals >= 0 && (seals & Libc.F_SEAL_SHRINK) != 0;
    }
}
