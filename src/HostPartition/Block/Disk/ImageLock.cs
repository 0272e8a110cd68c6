using Microsoft.Extensions.Logging;
using Microsoft.Win32.SafeHandles;
using VmShunt.BlockBackend.Log;
using VmShunt.Ring.Files;

namespace VmShunt.BlockBackend.Disk;

/// <summary>
/// Locks an image, so that no process writes it while another uses it. The lock is a set of open-file-description locks, and
/// is released when the file is closed. It is compatible with QEMU's: a process locks one byte for each permission that it
/// uses and one for each permission that it does not share. One thread at a time.
/// </summary>
internal sealed class ImageLock(SafeFileHandle file, string path, bool readOnly, ILogger log)
{
    // QEMU, block/file-posix.c: RAW_LOCK_PERM_BASE, RAW_LOCK_SHARED_BASE, plus the bit of the permission.
    private const long PermissionBase = 100, NotSharedBase = 200;
    private const int Read = 0, Write = 1, Resize = 3;

    // A child that another thread forks has the lock of a file that was closed meanwhile, until it executes its program.
    private const int Tries = 5, PauseMilliseconds = 50;

    private static readonly int[] s_readerUses = [Read], s_writerUses = [Read, Write, Resize], s_notShared = [Write, Resize];

    private readonly int[] _uses = readOnly ? s_readerUses : s_writerUses;

    /// <summary>Whether this process has the image; where locks are not supported, from the first <see cref="TryAcquire"/> on.</summary>
    internal bool IsHeld { get; private set; }

    /// <summary>Locks the image.</summary>
    /// <exception cref="IOException">Another process holds a conflicting lock; the message names the process.</exception>
    internal void Acquire()
    {
        (int Id, string Name)? holder;
        var tries = 0;
        do
        {
            if (tries > 0) Thread.Sleep(PauseMilliseconds);
            if (TryAcquire(isHolderWanted: true, out holder)) return;
        }
        while (holder is null && ++tries < Tries);
        throw new IOException(readOnly
            ? $"the disk {path} is being written by {Describe(holder)}; stop that process, or use a copy of the disk"
            : $"the disk {path} is in use by {Describe(holder)}; stop that process, or open the disk with --read-only in both");
    }

    /// <summary>Locks the image unless another process holds a conflicting lock.</summary>
    /// <param name="isHolderWanted">Whether to look for who holds it.</param>
    /// <param name="holder">Who holds it, if that is visible.</param>
    internal bool TryAcquire(bool isHolderWanted, out (int Id, string Name)? holder)
    {
        holder = null;
        try
        {
            IsHeld = TryTake();
        }
        catch (IOException e)
        {
            log.ImageNotLocked(path, e.Message);
            IsHeld = true;
        }
        if (IsHeld) return true;
        if (isHolderWanted) holder = FileLockHolder.Find(file, [.. _uses.Select(bit => NotSharedBase + bit), .. s_notShared.Select(bit => PermissionBase + bit)]);
        Release();
        return false;
    }

    /// <summary>Lets another process use the image.</summary>
    internal void Release()
    {
        IsHeld = false;
        FileRangeLock.ReleaseAll(file);
    }

    internal static string Describe((int Id, string Name)? holder) =>
        holder is var (id, name) ? $"process {id} ({name})" : "another process, which is not visible from here";

    // Locks first and checks afterwards: of two processes at the same moment, at least one sees the other's locks.
    private bool TryTake() =>
        Array.TrueForAll(_uses, bit => FileRangeLock.TryTake(file, PermissionBase + bit))
        && Array.TrueForAll(s_notShared, bit => FileRangeLock.TryTake(file, NotSharedBase + bit))
        && !Array.Exists(_uses, bit => FileRangeLock.IsHeldByOther(file, NotSharedBase + bit))
        && !Array.Exists(s_notShared, bit => FileRangeLock.IsHeldByOther(file, PermissionBase + bit));
}
