using System.Runtime.InteropServices;

namespace VmShunt.Ring.VirtioBlk;

/// <summary>The configuration space of a virtio block device (<c>struct virtio_blk_config</c>, virtio 1.3 §5.2.4).</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct VirtioBlkConfig
{
    /// <summary>Sectors of 512 bytes, whatever the block size.</summary>
    public ulong Capacity;

    /// <summary>The largest segment in bytes.</summary>
    public uint SizeMax;

    /// <summary>The most data segments per request.</summary>
    public uint SegMax;

    /// <summary>Unused by modern drivers.</summary>
    public ushort Cylinders;

    /// <summary>Unused by modern drivers.</summary>
    public byte Heads;

    /// <summary>Unused by modern drivers.</summary>
    public byte Sectors;

    /// <summary>The preferred block size, in bytes.</summary>
    public uint BlockSize;

    /// <summary>log2 of the logical blocks per physical block.</summary>
    public byte PhysicalBlockExponent;

    /// <summary>Offset of the first aligned logical block.</summary>
    public byte AlignmentOffset;

    /// <summary>The suggested minimum I/O size in logical blocks.</summary>
    public ushort MinIoSize;

    /// <summary>The optimal I/O size in logical blocks.</summary>
    public uint OptIoSize;

    /// <summary>1 in writeback mode: the driver must flush.</summary>
    public byte WriteCache;

    /// <summary>Padding.</summary>
    public byte Unused0;

    /// <summary>The number of request queues.</summary>
    public ushort NumQueues;

    /// <summary>The most sectors per discard range.</summary>
    public uint MaxDiscardSectors;

    /// <summary>The most ranges per discard.</summary>
    public uint MaxDiscardSeg;

    /// <summary>The alignment of discards in sectors.</summary>
    public uint DiscardSectorAlignment;

    /// <summary>The most sectors per write-zeroes range.</summary>
    public uint MaxWriteZeroesSectors;

    /// <summary>The most ranges per write-zeroes.</summary>
    public uint MaxWriteZeroesSeg;

    /// <summary>1 when write-zeroes may deallocate sectors.</summary>
    public byte WriteZeroesMayUnmap;

    /// <summary>Padding.</summary>
    public byte Unused1;

    /// <summary>Padding.</summary>
    public ushort Unused2;

    /// <summary>The offset of <see cref="WriteCache"/>, the only field that a driver may write.</summary>
    public const int WriteCacheOffset = 32;

    /// <summary>The size on the wire.</summary>
    public const int Bytes = 60;

    /// <summary>
    /// How many bytes a driver with these features needs. A device with fewer features may have a shorter space; a driver checks
    /// only that it is large enough (virtio 1.3 §2.5.1).
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
