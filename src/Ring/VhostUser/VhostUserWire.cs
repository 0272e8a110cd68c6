using System.Runtime.InteropServices;

namespace VmShunt.Ring.VhostUser;

/// <summary>The header of every message, in native byte order.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct VhostUserHeader
{
    /// <summary>The request's number; a reply repeats it.</summary>
    public VhostUserRequest Request;

    /// <summary>The version and the flags below.</summary>
    public uint Flags;

    /// <summary>Bytes of payload that follow.</summary>
    public uint Size;

    /// <summary>The size on the wire.</summary>
    public const int Bytes = 12;

    /// <summary>The protocol's only version, in the low two bits of the flags.</summary>
    public const uint Version = 1;

    /// <summary>The bits that hold the version.</summary>
    public const uint VersionMask = 3;

    /// <summary>The message is a reply.</summary>
    public const uint Reply = 1 << 2;

    /// <summary>The sender requests a reply (REPLY_ACK).</summary>
    public const uint NeedReply = 1 << 3;
}

/// <summary>The payload of ring messages with an index and a number.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct VringState
{
    /// <summary>The ring.</summary>
    public uint Index;

    /// <summary>Size, base or enable, depending on the message.</summary>
    public uint Value;

    /// <summary>The size on the wire.</summary>
    public const int Bytes = 8;
}

/// <summary>The payload of SET_VRING_ADDR. The addresses are user addresses.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct VringAddress
{
    /// <summary>The ring.</summary>
    public uint Index;

    /// <summary>Bit 0 (<see cref="LogUsed"/>): log writes to the used ring.</summary>
    public uint Flags;

    /// <summary>The descriptor table.</summary>
    public ulong Descriptors;

    /// <summary>The used ring (packed: the device event area).</summary>
    public ulong Used;

    /// <summary>The available ring (packed: the driver event area).</summary>
    public ulong Available;

    /// <summary>The guest-physical address at which writes to the used ring are logged.</summary>
    public ulong Log;

    /// <summary>VHOST_VRING_F_LOG.</summary>
    public const uint LogUsed = 1;

    /// <summary>The size on the wire.</summary>
    public const int Bytes = 40;
}

/// <summary>One memory region, in SET_MEM_TABLE and ADD_MEM_REG.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct VhostUserMemoryRegion
{
    /// <summary>The first guest-physical address.</summary>
    public ulong GuestAddress;

    /// <summary>Bytes.</summary>
    public ulong Size;

    /// <summary>The address in the front-end's process.</summary>
    public ulong UserAddress;

    /// <summary>The offset in the descriptor's file.</summary>
    public ulong FileOffset;

    /// <summary>The size on the wire.</summary>
    public const int Bytes = 32;
}

/// <summary>The payload of GET_INFLIGHT_FD and SET_INFLIGHT_FD. Some front-ends append four bytes of padding.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct VhostUserInflight
{
    /// <summary>Bytes of the memory.</summary>
    public ulong MmapSize;

    /// <summary>The offset in the descriptor's file.</summary>
    public ulong MmapOffset;

    /// <summary>The number of rings.</summary>
    public ushort QueueCount;

    /// <summary>The size of the rings.</summary>
    public ushort QueueSize;

    /// <summary>The size on the wire, without padding.</summary>
    public const int Bytes = 20;
}

/// <summary>The payload of SET_LOG_BASE with LOG_SHMFD; the descriptor comes with it.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct VhostUserLog
{
    /// <summary>Bytes of the log.</summary>
    public ulong MmapSize;

    /// <summary>The offset in the descriptor's file.</summary>
    public ulong MmapOffset;

    /// <summary>The size on the wire.</summary>
    public const int Bytes = 16;
}

/// <summary>The payload of SET_VRING_KICK, CALL and ERR: the ring's index and the invalid FD flag.</summary>
public static class VringDescriptorWord
{
    /// <summary>The bits that hold the ring's index.</summary>
    public const ulong IndexMask = 0xff;

    /// <summary>The invalid FD flag: the message has no descriptor, and the peer polls.</summary>
    public const ulong NoDescriptor = 1 << 8;
}

/// <summary>The start of the payload of GET_CONFIG and SET_CONFIG; the bytes of the configuration space follow.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct VhostUserConfigHeader
{
    /// <summary>The offset in the configuration space.</summary>
    public uint Offset;

    /// <summary>The number of bytes.</summary>
    public uint Size;

    /// <summary>0: a write of writable fields; 1: live migration.</summary>
    public uint Flags;

    /// <summary>The size on the wire.</summary>
    public const int Bytes = 12;

    /// <summary>The largest configuration space of the protocol.</summary>
    public const int MaxSpace = 256;
}
