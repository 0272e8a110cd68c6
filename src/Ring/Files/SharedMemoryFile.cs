using Microsoft.Win32.SafeHandles;
using VmShunt.Ring.Interop;

namespace VmShunt.Ring.Files;

/// <summary>
/// Creates the file behind a guest's memory: anonymous, shared by passing its descriptor, and sealed so that nobody who
/// gets the descriptor can shrink it under another process's mapping.
/// </summary>
public static class SharedMemoryFile
{
    /// <summary>Creates a sealed file of zeros. The caller owns the descriptor.</summary>
    /// <param name="name">A name for <c>/proc/PID/maps</c>.</param>
    /// <param name="bytes">The size; pages are taken as they are touched.</param>
    /// <exception cref="IOException">The system refused.</exception>
    public static SafeFileHandle Create(string name, long bytes) => Create(name, bytes, Libc.F_SEAL_SHRINK | Libc.F_SEAL_GROW | Libc.F_SEAL_SEAL);

    /// <summary>As <see cref="Create(string, long)"/>, for content that <see cref="SealContent"/> will make final.</summary>
    /// <param name="name">A name for <c>/proc/PID/maps</c>.</param>
    /// <param name="bytes">The size; pages are taken as they are touched.</param>
    /// <exception cref="IOException">The system refused.</exception>
    public static SafeFileHandle CreateForSealing(string name, long bytes) => Create(name, bytes, Libc.F_SEAL_SHRINK | Libc.F_SEAL_GROW);

    /// <summary>From now on nobody can write to the file, whoever has a descriptor of it. No writable mapping may exist.</summary>
    /// <exception cref="IOException">The system refused.</exception>
    public static void SealContent(SafeFileHandle file)
    {
        if (Libc.Fcntl(file, Libc.F_ADD_SEALS, Libc.F_SEAL_WRITE | Libc.F_SEAL_SEAL) < 0) throw LibcError.Last("sealing the content of shared memory");
    }

    /// <summary>A further descriptor of the same file that can be read and mapped for reading only.</summary>
    /// <exception cref="IOException">The system refused.</exception>
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

    /// <summary>Gives the pages of a range back to the system: it reads as zeros, for whoever has it mapped.</summary>
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

    /// <summary>Whether a peer's file can no longer shrink, so that a mapping of it cannot fault later.</summary>
    public static bool CannotShrink(SafeFileHandle file)
    {
        var seals = Libc.Fcntl(file, Libc.F_GET_SEALS, 0);
        return seals >= 0 && (seals & Libc.F_SEAL_SHRINK) != 0;
    }
}
