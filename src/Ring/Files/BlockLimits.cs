using Microsoft.Win32.SafeHandles;
using VmShunt.Ring.Interop;

namespace VmShunt.Ring.Files;

/// <summary>What the kernel says of a file or block device about sizes that suit it, all in bytes.</summary>
/// <param name="IsBlockDevice">A block device; otherwise a file.</param>
/// <param name="BlockBytes">A device's logical block; 1 for a file, which takes any length at any offset.</param>
/// <param name="PhysicalBlockBytes">What is written without reading the rest of it first: a device's physical block, a file system's block.</param>
/// <param name="AlignmentOffset">Where on a device the first physical block starts; −1 when its parts disagree.</param>
/// <param name="MinIoBytes">The smallest request that costs no extra work.</param>
/// <param name="OptimalIoBytes">The size that suits best, or 0 for none.</param>
public readonly record struct BlockLimits(
    bool IsBlockDevice, int BlockBytes, int PhysicalBlockBytes, int AlignmentOffset, int MinIoBytes, int OptimalIoBytes)
{
    /// <summary>Asks the kernel.</summary>
    public static unsafe BlockLimits Of(SafeFileHandle file)
    {
        int block;
        if (Libc.Ioctl(file, Libc.BLKSSZGET, &block) == 0)
        {
            int physical = block, offset = 0, min = block, optimal = 0;
            _ = Libc.Ioctl(file, Libc.BLKPBSZGET, &physical);
            _ = Libc.Ioctl(file, Libc.BLKALIGNOFF, &offset);
            _ = Libc.Ioctl(file, Libc.BLKIOMIN, &min);
            _ = Libc.Ioctl(file, Libc.BLKIOOPT, &optimal);
            return new BlockLimits(true, block, physical, offset, min, optimal);
        }
        var status = stackalloc byte[StatX.Bytes];
        var blocks = StatX.TryGet(file, 0, status) ? (int)StatX.Field(status, StatX.BlockSize) : 0;
        return new BlockLimits(false, 1, blocks, 0, blocks, 0);
    }
}
