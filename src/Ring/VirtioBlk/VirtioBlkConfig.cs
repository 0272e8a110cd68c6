using System.Runtime.InteropServices;

namespace VmShunt.Ring.VirtioBlk;

/// <summary>The configuration space of a virtio block device (<c>struct virtio_blk_config</c>, virtio 1.3 §5.2.4).</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct VirtioBlkConfig
{
    /// <summary>Sectors of 512 bytes, whatever the block size.</summary>
    public ulong Capacity;

    /// <summary>The largest segment, in bytes.</summary>
    public uint SizeMax;

    /// <summary>The most data segments a request.</summary>
    public uint SegMax;

    /// <summary>Unused by modern drivers.</summary>
    public ushort Cylinders;

    /// <summary>Unused by modern drivers.</summary>
    public byte Heads;

    /// <summary>Unused by modern drivers.</summary>
    public byte Sectors;

    /// <summary>The preferred block size, in bytes.</summary>
    public uint BlockSize;

    /// <summary>log2 of logical blocks a physical block.</summary>
    public byte PhysicalBlockExponent;

    /// <summary>Offset of the first aligned logical block.</summary>
    public byte AlignmentOffset;

    /// <summary>The smallest good I/O, in logical blocks.</summary>
    public ushort MinIoSize;

    /// <summary>The best I/O, in logical blocks.</summary>
    public uint OptIoSize;

    /// <summary>1 in writeback mode: the driver must flush.</summary>
    public byte WriteCache;

    /// <summary>Padding.</summary>
    public byte Unused0;

    /// <summary>How many request queues.</summary>
    public ushort NumQueues;

    /// <summary>The most sectors of one discard range.</summary>
    public uint MaxDiscardSectors;

    /// <summary>The most ranges of one discard.</summary>
    public uint MaxDiscardSeg;

    /// <summary>The alignment of good discards, in sectors.</summary>
    public uint DiscardSectorAlignment;

    /// <summary>The most sectors of one write-zeroes range.</summary>
    public uint MaxWriteZeroesSectors;

    /// <summary>The most ranges of one write-zeroes.</summary>
    public uint MaxWriteZeroesSeg;

    /// <summary>1 when write-zeroes may unmap.</summary>
    public byte WriteZeroesMayUnmap;

    /// <summary>Padding.</summary>
    public byte Unused1;

    /// <summary>Padding.</summary>
    public ushort Unused2;

    /// <summary>Where <see cref="WriteCache"/> is: the only field that a driver may write.</summary>
    public const int WriteCacheOffset = 32;

    /// <summary>The size on the wire.</summary>
    public const int Bytes = 60;

    /// <summary>
    /// How much of it a driver of these features needs. A device of fewer features may have a shorter one (virtio 1.3
    /// §2.5.1: drivers only check that it is large enough).
    /// </summary>
    public static int BytesFor(VirtioBlkFeatures features) =>
        (features & VirtioBlkFeatures.WriteZeroes) != 0 ? 57
        : (features & VirtioBlkFeatures.Discard) != 0 ? 48
        : (features & VirtioBlkFeatures.MultiQueue) != 0 ? 36
        : (features & VirtioBlkFeatures.ConfigWriteCache) != 0 ? 33
        : (features & VirtioBlkFeatures.Topology) != 0 ? 32
        : (features & VirtioBlkFeatures.BlockSize) != 0 ? 24
        : (features & VirtioBlkFeatures.SegMax) != 0 ? 16
        : (features & VirtioBlkFeatures.SizeMax) != 0 ? 12
        : sizeof(ulong);
}
