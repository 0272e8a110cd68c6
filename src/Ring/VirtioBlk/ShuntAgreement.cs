using System.Runtime.InteropServices;

namespace VmShunt.Ring.VirtioBlk;

/// <summary>
/// The agreement of a shunt and VM-H on primary requests: an area of VmShunt at the end of the vhost-user configuration
/// space, far behind <c>struct virtio_blk_config</c>. Other drivers do not read it, other devices do not have it. VM-H reports
/// the request types that it implements on the ring; the shunt declares those that it will send there.
/// </summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct ShuntAgreement
{
    /// <summary>"VMSHUNT" and a zero byte. With any other value, the area does not exist.</summary>
    public ulong Magic;

    /// <summary><see cref="CurrentVersion"/>.</summary>
    public ushort Version;

    /// <summary>Zero.</summary>
    public ushort Reserved;

    /// <summary>The request types that VM-H implements on the ring. Read-only.</summary>
    public RequestTypes Implemented;

    /// <summary>The shunt's declaration.</summary>
    public ShuntDeclaration Declared;

    /// <summary>The offset of the area: the last 32 bytes of the 256 that vhost-user allows.</summary>
    public const int Offset = 224;

    /// <summary>The offset of <see cref="Declared"/>, which the driver writes.</summary>
    public const int DeclaredOffset = Offset + 16;

    /// <summary>The size on the wire.</summary>
    public const int Bytes = 32;

    /// <summary>The value of <see cref="Magic"/>.</summary>
    public const ulong ExpectedMagic = 0x0054_4E55_4853_4D56;

    /// <summary>The current version.</summary>
    public const ushort CurrentVersion = 1;
}

/// <summary>The shunt's declaration, which the driver writes in one piece of 16 bytes.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct ShuntDeclaration
{
    /// <summary>The version that the shunt uses.</summary>
    public ushort Version;

    /// <summary>Zero.</summary>
    public ushort Reserved;

    /// <summary>Why these request types are primary; for the log.</summary>
    public PrimaryCriterion Criterion;

    /// <summary>Every request type that the shunt may send over the ring.</summary>
    public RequestTypes Primary;

    /// <summary>Zero.</summary>
    public uint Reserved2;

    /// <summary>The size on the wire.</summary>
    public const int Bytes = 16;
}

/// <summary>The criterion by which a shunt separates primary from secondary requests.</summary>
public enum PrimaryCriterion : uint
{
    /// <summary>All requests are primary.</summary>
    All = 0,

    /// <summary>A list of request types.</summary>
    Importance = 1,

    /// <summary>The most frequent request types.</summary>
    Frequency = 2,

    /// <summary>The most expensive requests.</summary>
    Effort = 3,
}
