using System.Runtime.InteropServices;

namespace VmShunt.Trap.VfioUser;

// Section titles in quotes are those of the vfio-user specification, revision 0.9.2, which describes protocol versions 0.0
// and 0.1. The layouts are little-endian ("Protocol Specification").

/// <summary>The command numbers ("Commands").</summary>
internal enum VfioUserCommand : ushort
{
    Version = 1,
    DmaMap = 2,
    DmaUnmap = 3,
    DeviceGetInfo = 4,
    DeviceGetRegionInfo = 5,
    DeviceGetRegionIoFds = 6,
    DeviceGetIrqInfo = 7,
    DeviceSetIrqs = 8,
    RegionRead = 9,
    RegionWrite = 10,
    DmaRead = 11,
    DmaWrite = 12,
    DeviceReset = 13,
    RegionWriteMulti = 15,
    DeviceFeature = 16,

    /// <summary>Of ours: an access with the state of the processor; see <see cref="TrappedAccess"/>. Far from the specification's numbers.</summary>
    Trap = 0x5653,
}

/// <summary>The flags in the header ("Header"): bits 0 to 3 are the type.</summary>
[Flags]
internal enum VfioUserFlags : uint
{
    Command = 0,
    Reply = 1,
    TypeMask = 0xf,
    NoReply = 0x10,
    Error = 0x20,
}

/// <summary>The 16 bytes before every message ("Header"). <see cref="Size"/> includes them.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct VfioUserHeader
{
    /// <summary>The largest region access, announced to the peer as max_data_xfer_size ("VFIO_USER_VERSION").</summary>
    internal const int MaxDataBytes = 64 << 10;

    /// <summary>The largest message that either end accepts.</summary>
    internal const int MaxMessageBytes = HeaderBytes + RegionAccess.Bytes + MaxDataBytes;

    internal const int HeaderBytes = 16;

    public ushort Id;
    public VfioUserCommand Command;
    public uint Size;
    public VfioUserFlags Flags;
    public uint Error;
}

/// <summary>The request of "VFIO_USER_DMA_MAP"; the reply has no payload.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct DmaMapRequest
{
    internal const int Bytes = 32;

    // Mappable is later than the specification: libvfio-user defines it, and what it says is the default.
    internal const uint Readable = 1, Writable = 2, Mappable = 4;

    public uint ArgSize;
    public uint Flags;
    public ulong FileOffset;
    public ulong Address;
    public ulong Size;
}

/// <summary>The request and the reply of "VFIO_USER_DMA_UNMAP". The specification defines no flags; these are of linux/vfio.h.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct DmaUnmapRequest
{
    internal const int Bytes = 24;
    internal const uint GetDirtyBitmap = 1, All = 2;

    public uint ArgSize;
    public uint Flags;
    public ulong Address;
    public ulong Size;
}

/// <summary>The request and the reply of "VFIO_USER_DEVICE_GET_INFO".</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct DeviceInfoPayload
{
    internal const int Bytes = 16;
    internal const uint CanReset = 1, IsPci = 2;

    public uint ArgSize;
    public uint Flags;
    public uint RegionCount;
    public uint IrqCount;
}

/// <summary>The request and the reply of "VFIO_USER_DEVICE_GET_REGION_INFO".</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct RegionInfoPayload
{
    internal const int Bytes = 32;

    public uint ArgSize;
    public VfioRegionFlags Flags;
    public uint Index;
    public uint CapabilityOffset;
    public ulong Size;
    public ulong MapOffset;
}

/// <summary>The request and the reply of "VFIO_USER_DEVICE_GET_IRQ_INFO".</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct IrqInfoPayload
{
    internal const int Bytes = 16;

    public uint ArgSize;
    public VfioIrqFlags Flags;
    public uint Index;
    public uint Count;
}

/// <summary>The flags of "VFIO_USER_DEVICE_SET_IRQS": exactly one data type and one action.</summary>
[Flags]
internal enum IrqSetFlags : uint
{
    DataNone = 1,
    DataBool = 2,
    DataEventFd = 4,
    DataMask = 7,
    Mask = 8,
    Unmask = 16,
    Trigger = 32,
    ActionMask = 56,
}

/// <summary>The request of "VFIO_USER_DEVICE_SET_IRQS", before its booleans; the reply has no payload.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct IrqSetRequest
{
    internal const int Bytes = 20;

    public uint ArgSize;
    public IrqSetFlags Flags;
    public uint Index;
    public uint Start;
    public uint Count;
}

/// <summary>The start of requests and replies of "VFIO_USER_REGION_READ" and "VFIO_USER_REGION_WRITE", before the data.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct RegionAccess
{
    internal const int Bytes = 16;

    public ulong Offset;
    public uint Region;
    public uint Count;
}

/// <summary>The errno values of error replies ("Header"). EEXIST is the only one that the specification prescribes ("VFIO_USER_DMA_MAP").</summary>
internal enum Errno : uint
{
    None = 0,
    EIO = 5,
    EEXIST = 17,
    EINVAL = 22,
    ENOSPC = 28,
    ENOTSUP = 95,
}
