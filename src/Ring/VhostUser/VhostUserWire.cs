using System.Runtime.InteropServices;

namespace VmShunt.Ring.VhostUser;

/// <summary>The header of every message; native byte order, as the protocol wants it.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct VhostUserHeader
{
    /// <summary>The request's number; a reply repeats it.</summary>
    public VhostUserRequest Request;

    /// <summary>Version and the flags below.</summary>
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

    /// <summary>The sender wants an acknowledgement (REPLY_ACK).</summary>
    public const uint NeedReply = 1 << 3;
}

/// <summary>Payload of the ring messages that carry an index and a number.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct VringState
{
    /// <summary>The ring.</summary>
    public uint Index;

    /// <summary>Size, base or enable, by message.</summary>
    public uint Value;

    /// <summary>The size on the wire.</summary>
    public const int Bytes = 8;
}

/// <summary>Payload of SET_VRING_ADDR. The addresses are the front-end's own (user addresses of its memory regions).</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct VringAddress
{
    /// <summary>The ring.</summary>
    public uint Index;

    /// <summary>Bit 0: log writes to the used ring.</summary>
    public uint Flags;

    /// <summary>The descriptor table.</summary>
    public ulong Descriptors;

    /// <summary>The used ring (packed: the device event area).</summary>
    public ulong Used;

    /// <summary>The available ring (packed: the driver event area).</summary>
    public ulong Available;

    /// <summary>Where to log, unused here.</summary>
    public ulong Log;

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

    /// <summary>The front-end's own address of it.</summary>
    public ulong UserAddress;

    /// <summary>Where in the descriptor's file it starts.</summary>
    public ulong FileOffset;

    /// <summary>The size on the wire.</summary>
    public const int Bytes = 32;
}

/// <summary>Payload of GET_INFLIGHT_FD and SET_INFLIGHT_FD; some front-ends send four bytes of padding after it.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct VhostUserInflight
{
    /// <summary>Bytes of the memory.</summary>
    public ulong MmapSize;

    /// <summary>Where in the descriptor's file it starts.</summary>
    public ulong MmapOffset;

    /// <summary>How many rings.</summary>
    public ushort QueueCount;

    /// <summary>Their size.</summary>
    public ushort QueueSize;

    /// <summary>The size on the wire, without padding.</summary>
    public const int Bytes = 20;
}

/// <summary>Payload of SET_VRING_KICK, CALL and ERR: the ring's index and whether no descriptor comes along.</summary>
public static class VringDescriptorWord
{
    /// <summary>The bits that hold the ring's index.</summary>
    public const ulong IndexMask = 0xff;

    /// <summary>No descriptor: poll instead.</summary>
    public const ulong NoDescriptor = 1 << 8;
}

/// <summary>Header of the GET_CONFIG and SET_CONFIG payload; the bytes of the configuration space follow.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct VhostUserConfigHeader
{
    /// <summary>Where in the configuration space.</summary>
    public uint Offset;

    /// <summary>How many bytes.</summary>
    public uint Size;

    /// <summary>0: writable fields only, by the driver; 1: live migration.</summary>
    public uint Flags;

    /// <summary>The size on the wire.</summary>
    public const int Bytes = 12;

    /// <summary>The largest configuration space of the protocol.</summary>
    public const int MaxSpace = 256;
}
