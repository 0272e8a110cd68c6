using Microsoft.Win32.SafeHandles;
using VmShunt.Ring.Interop;

namespace VmShunt.Ring.Files;

/// <summary>The I/O sizes that the kernel reports for a file or block device, in bytes.</summary>
/// <param name="IsBlockDevice">A block device; otherwise a file.</param>
/// <param name="BlockBytes">A device's logical block; 1 for a file, which takes any length at any offset.</param>
/// <param name="PhysicalBlockBytes">What is written without a read-modify-write: a device's physical block, a file system's block.</param>
/// <param name="AlignmentOffset">Where on a device the first physical block starts; −1 when its parts differ.</param>
/// <param name="MinIoBytes">The smallest request without a penalty.</param>
/// <param name="OptimalIoBytes">The preferred request size; 0: none.</param>
public readonly record struct BlockLimits(
    bool IsBlockDevice, int BlockBytes, int PhysicalBlockBytes, int AlignmentOffset, int MinIoBytes, int OptimalIoBytes)
{
    /// <summary>Whether a block device takes no writes, although it could be opened for writing.</summary>
    public static bool IsReadOnlyDevice(SafeFileHandle file)
    {
        var isReadOnly = 0;
        return Libc.Ioctl(file, Libc.BLKROGET, ref isReadOnly) == 0 && isReadOnly != 0;
    }

    /// <summary>Reads the limits of an open file or device.</summary>
    public static BlockLimits Of(SafeFileHandle file)
    {
        var block = 0;
        if (Libc.Ioctl(file, Libc.BLKSSZGET, ref block) == 0)
        {
            int physical = block, offset = 0, min = block, optimal = 0;
            _ = Libc.Ioctl(file, Libc.BLKPBSZGET, ref physical);
            _ = Libc.Ioctl(file, Libc.BLKALIGNOFF, ref offset);
            _ = Libc.Ioctl(file, Libc.BLKIOMIN, ref min);
            _ = Libc.Ioctl(file, Libc.BLKIOOPT, ref optimal);
            return new BlockLimits(true, block, physical, offset, min, optimal);
        }
        var blocks = StatX.TryGet(file, 0, out var status) ? (int)status.BlockSize : 0;
        return new BlockLimits(false, 1, blocks, 0, blocks, 0);
    }
}
