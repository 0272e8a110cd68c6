using System.Runtime.InteropServices;

namespace VmShunt.Ring.VirtioBlk;

/// <summary>Request types (virtio 1.3 §5.2.6).</summary>
public enum VirtioBlkRequestType : uint
{
    /// <summary>VIRTIO_BLK_T_IN: a read.</summary>
    In = 0,

    /// <summary>VIRTIO_BLK_T_OUT: a write.</summary>
    Out = 1,

    /// <summary>VIRTIO_BLK_T_FLUSH.</summary>
    Flush = 4,

    /// <summary>VIRTIO_BLK_T_GET_ID: the serial, 20 bytes.</summary>
    GetId = 8,

    /// <summary>VIRTIO_BLK_T_DISCARD.</summary>
    Discard = 11,

    /// <summary>VIRTIO_BLK_T_WRITE_ZEROES.</summary>
    WriteZeroes = 13,
}

/// <summary>The last byte of every request, which the device writes (virtio 1.3 §5.2.6).</summary>
public enum VirtioBlkStatus : byte
{
    /// <summary>VIRTIO_BLK_S_OK.</summary>
    Ok = 0,

    /// <summary>VIRTIO_BLK_S_IOERR.</summary>
    IoError = 1,

    /// <summary>VIRTIO_BLK_S_UNSUPP.</summary>
    Unsupported = 2,
}

/// <summary>The first 16 bytes of every request, which the device reads (<c>struct virtio_blk_req</c>).</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct VirtioBlkRequestHeader
{
    /// <summary>The request type.</summary>
    public VirtioBlkRequestType Type;

    /// <summary>Zero.</summary>
    public uint Reserved;

    /// <summary>The first sector of 512 bytes, for reads and writes.</summary>
    public ulong Sector;

    /// <summary>The size on the wire.</summary>
    public const int Bytes = 16;
}

/// <summary>One range of DISCARD or WRITE_ZEROES (<c>struct virtio_blk_discard_write_zeroes</c>).</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct VirtioBlkRange
{
    /// <summary>The first sector.</summary>
    public ulong Sector;

    /// <summary>The number of sectors.</summary>
    public uint SectorCount;

    /// <summary>Bit 0: unmap (WRITE_ZEROES only).</summary>
    public uint Flags;

    /// <summary>The size on the wire.</summary>
    public const int Bytes = 16;

    /// <summary>The only defined flag.</summary>
    public const uint Unmap = 1;
}
