using System.Runtime.InteropServices;

namespace VmShunt.Trap.VfioUser;

/// <summary>The commands (vfio-user 0.9.2, "Commands").</summary>
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
}

/// <summary>The header's flags: bits 0–3 are the type.</summary>
[Flags]
internal enum VfioUserFlags : uint
{
    Command = 0,
    Reply = 1,
    TypeMask = 0xf,
    NoReply = 0x10,
    Error = 0x20,
}

/// <summary>Before every message, 16 bytes. <see cref="Size"/> counts the header too.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct VfioUserHeader
{
    /// <summary>The most bytes of data in one region access, as both our ends tell their peers.</summary>
    internal const int MaxDataBytes = 64 << 10;

    /// <summary>The most bytes of a message that either end takes.</summary>
    internal const int MaxMessageBytes = HeaderBytes + RegionAccess.Bytes + MaxDataBytes;

    internal const int HeaderBytes = 16;

    public ushort Id;
    public VfioUserCommand Command;
    public uint Size;
    public VfioUserFlags Flags;
    public uint Error;
}

[StructLayout(LayoutKind.Sequential)]
internal struct DmaMapRequest
{
    internal const int Bytes = 32;
    internal const uint Readable = 1, Writable = 2;

    public uint ArgSize;
    public uint Flags;
    public ulong FileOffset;
    public ulong Address;
    public ulong Size;
}

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

[StructLayout(LayoutKind.Sequential)]
internal struct VfioDeviceInfoReply
{
    internal const int Bytes = 16;
    internal const uint CanReset = 1, IsPci = 2;

    public uint ArgSize;
    public uint Flags;
    public uint RegionCount;
    public uint IrqCount;
}

[StructLayout(LayoutKind.Sequential)]
internal struct RegionInfo
{
    internal const int Bytes = 32;

    public uint ArgSize;
    public VfioRegionFlags Flags;
    public uint Index;
    public uint CapabilityOffset;
    public ulong Size;
    public ulong MapOffset;
}

[StructLayout(LayoutKind.Sequential)]
internal struct IrqInfo
{
    internal const int Bytes = 16;

    public uint ArgSize;
    public VfioIrqFlags Flags;
    public uint Index;
    public uint Count;
}

/// <summary>What DEVICE_SET_IRQS does: one data type and one action.</summary>
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

[StructLayout(LayoutKind.Sequential)]
internal struct IrqSet
{
    internal const int Bytes = 20;

    public uint ArgSize;
    public IrqSetFlags Flags;
    public uint Index;
    public uint Start;
    public uint Count;
}

/// <summary>Before the data of REGION_READ and REGION_WRITE.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct RegionAccess
{
    internal const int Bytes = 16;

    public ulong Offset;
    public uint Region;
    public uint Count;
}

/// <summary>The errno values of error replies.</summary>
internal enum Errno : uint
{
    None = 0,
    ENOENT = 2,
    EIO = 5,
    EEXIST = 17,
    EINVAL = 22,
    ENOSPC = 28,
    ENOTSUP = 95,
}
