using Microsoft.Extensions.Logging;
using Microsoft.Win32.SafeHandles;
using VmShunt.HostPartition.Log;
using VmShunt.Ring.Files;

namespace VmShunt.HostPartition.Disk;

/// <summary>
/// Keeps an image from being written by one process while another uses it. It lives in the kernel, on the open file, and
/// goes with it. QEMU's way of saying it is used, so QEMU and VM-H respect each other: a process holds one byte for each
/// thing that it does to the image, and one for each thing that it does not bear from others.
/// </summary>
internal static class ImageLock
{
    // QEMU, block/file-posix.c: RAW_LOCK_PERM_BASE, RAW_LOCK_SHARED_BASE, plus the bit of the permission.
    private const long Does = 100, DoesNotBear = 200;
    private const int Read = 0, Write = 1, Resize = 3;

    private static readonly int[] s_reader = [Read], s_writer = [Read, Write, Resize], s_unborne = [Write, Resize];

    /// <summary>Locks an open image.</summary>
    /// <exception cref="IOException">Another process uses it; the message says which.</exception>
    internal static void Take(SafeFileHandle file, string path, bool readOnly, ILogger log)
    {
        var does = readOnly ? s_reader : s_writer;
        try
        {
            // First held, then looked: of two that come at once, at least one sees the other.
            var free = Array.TrueForAll(does, bit => FileRangeLock.TryTake(file, Does + bit))
                && Array.TrueForAll(s_unborne, bit => FileRangeLock.TryTake(file, DoesNotBear + bit))
                && !Array.Exists(does, bit => FileRangeLock.IsHeldByOther(file, DoesNotBear + bit))
                && !Array.Exists(s_unborne, bit => FileRangeLock.IsHeldByOther(file, Does + bit));
            if (free) return;
        }
        catch (IOException e)
        {
            log.ImageNotLocked(path, e.Message);
            return;
        }
        var holder = FileLockHolder.Find(file, [.. does.Select(bit => DoesNotBear + bit), .. s_unborne.Select(bit => Does + bit)]);
        FileRangeLock.ReleaseAll(file);
        var who = holder is var (id, name) ? $"process {id} ({name})" : "another process, which cannot be seen from here,";
        throw new IOException(readOnly
            ? $"the disk {path} is being written by {who}; stop it first, or give it a copy"
            : $"the disk {path} is in use by {who}; stop it first, or open the disk with --read-only in both");
    }
}
