using System.Numerics;
using VmShunt.Ring.Files;

namespace VmShunt.HostPartition.Disk;

/// <summary>What sizes suit a disk, in bytes (virtio 1.3 §5.2.4; ATA IDENTIFY word 106).</summary>
/// <param name="PhysicalBlockBytes">What the disk writes without reading the rest of it first; a power of two.</param>
/// <param name="AlignmentOffset">Where the first physical block starts.</param>
/// <param name="MinIoBytes">The smallest request that costs no extra work.</param>
/// <param name="OptimalIoBytes">The size that suits best, or 0 for none.</param>
internal readonly record struct DiskTopology(int PhysicalBlockBytes, int AlignmentOffset, int MinIoBytes, int OptimalIoBytes)
{
    private const int Sector = 512, LargestPhysicalBlock = 64 * 1024;

    /// <summary>A disk that does not care.</summary>
    internal static DiskTopology None { get; } = new(Sector, 0, Sector, 0);

    /// <summary>What the kernel says, where that makes sense.</summary>
    internal static DiskTopology Of(BlockLimits limits)
    {
        var physical = limits.PhysicalBlockBytes;
        if (!BitOperations.IsPow2(physical) || physical is < Sector or > LargestPhysicalBlock) physical = Sector;
        return new DiskTopology(physical, Math.Max(limits.AlignmentOffset, 0) % physical, Math.Max(limits.MinIoBytes, physical), Math.Max(limits.OptimalIoBytes, 0));
    }
}
