using System.Runtime.InteropServices;

namespace VmShunt.Ring.VirtioBlk;

/// <summary>What a request asks for (virtio 1.3 §5.2.6).</summary>
public enum VirtioBlkRequestType : uint
{
    /// <summary>VIRTIO_BLK_T_IN: read.</summary>
    In = 0,

    /// <summary>VIRTIO_BLK_T_OUT: write.</summary>
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

/// <summary>The last byte of every request, written by the device (virtio 1.3 §5.2.6).</summary>
public enum VirtioBlkStatus : byte
{
    /// <summary>VIRTIO_BLK_S_OK.</summary>
    Ok = 0,

    /// <summary>VIRTIO_BLK_S_IOERR.</summary>
    IoError = 1,

    /// <summary>VIRTIO_BLK_S_UNSUPP.</summary>
    Unsupported = 2,
}

/// <summary>The first 16 bytes of every request, read by the device (<c>struct virtio_blk_req</c>).</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct VirtioBlkRequestHeader
{
    /// <summary>What is asked.</summary>
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

    /// <summary>How many sectors.</summary>
    public uint SectorCount;

    /// <summary>Bit 0: unmap (WRITE_ZEROES only).</summary>
    public uint Flags;

    /// <summary>The size on the wire.</summary>
    public const int Bytes = 16;

    /// <summary>The only flag there is.</summary>
    public const uint Unmap = 1;
}
