using System.Numerics;
using VmShunt.Ring.Files;

namespace VmShunt.BlockBackend.Disk;

/// <summary>A disk's preferred request sizes in bytes (virtio 1.3 §5.2.4; ATA IDENTIFY word 106).</summary>
/// <param name="PhysicalBlockBytes">The smallest write that needs no read-modify-write; a power of two.</param>
/// <param name="AlignmentOffset">The offset of the first physical block.</param>
/// <param name="MinIoBytes">The preferred smallest request.</param>
/// <param name="OptimalIoBytes">The preferred request size, or 0 for none.</param>
internal readonly record struct DiskTopology(int PhysicalBlockBytes, int AlignmentOffset, int MinIoBytes, int OptimalIoBytes)
{
    private const int Sector = 512;

    internal const int LargestPhysicalBlock = 64 * 1024;

    /// <summary>A disk without preferences.</summary>
    internal static DiskTopology None { get; } = new(Sector, 0, Sector, 0);

    /// <summary>Whether a disk with logical blocks of that size can have such physical blocks.</summary>
    internal static bool IsPhysicalBlock(int bytes, int logical) => BitOperations.IsPow2(bytes) && bytes >= logical && bytes <= LargestPhysicalBlock;

    /// <summary>Takes the kernel's values where they are valid.</summary>
    internal static DiskTopology Of(BlockLimits limits)
    {
        var physical = limits.PhysicalBlockBytes;
        if (!BitOperations.IsPow2(physical) || physical is < Sector or > LargestPhysicalBlock) physical = Sector;
        return new DiskTopology(physical, Math.Max(limits.AlignmentOffset, 0) % physical, Math.Max(limits.MinIoBytes, physical), Math.Max(limits.OptimalIoBytes, 0));
    }
}
