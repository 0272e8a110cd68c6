using System.Runtime.InteropServices;

namespace VmShunt.Ring.VirtioBlk;

/// <summary>
/// What a shunt and VM-H agree on about primary requests: a VmShunt area at the end of the vhost-user configuration
/// space, far behind <c>struct virtio_blk_config</c>, which other drivers and devices neither read nor have. VM-H says what it
/// does on the ring; the shunt declares what it will send there.
/// </summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct ShuntAgreement
{
    /// <summary>"VMSHUNT" and a zero, little-endian; anything else: no such area.</summary>
    public ulong Magic;

    /// <summary><see cref="CurrentVersion"/>.</summary>
    public ushort Version;

    /// <summary>Zero.</summary>
    public ushort Reserved;

    /// <summary>What VM-H does on the ring. Read-only.</summary>
    public RequestTypes Implemented;

    /// <summary>What the shunt declares.</summary>
    public ShuntDeclaration Declared;

    /// <summary>The area's place in configuration space: its last 32 bytes (vhost-user allows 256).</summary>
    public const int Offset = 224;

    /// <summary>The place of <see cref="Declared"/>, the part that the driver writes.</summary>
    public const int DeclaredOffset = Offset + 16;

    /// <summary>The size on the wire.</summary>
    public const int Bytes = 32;

    /// <summary>The value of <see cref="Magic"/>.</summary>
    public const ulong ExpectedMagic = 0x0054_4E55_4853_4D56;

    /// <summary>The only version so far.</summary>
    public const ushort CurrentVersion = 1;
}

/// <summary>What a shunt declares: written by the driver in one piece of 16 bytes.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct ShuntDeclaration
{
    /// <summary>The version that the shunt speaks.</summary>
    public ushort Version;

    /// <summary>Zero.</summary>
    public ushort Reserved;

    /// <summary>Why these are primary; for the log.</summary>
    public PrimaryCriterion Criterion;

    /// <summary>Every class that the shunt may send over the ring.</summary>
    public RequestTypes Primary;

    /// <summary>Zero.</summary>
    public uint Reserved2;

    /// <summary>The size on the wire.</summary>
    public const int Bytes = 16;
}

/// <summary>Why a shunt holds requests to be primary.</summary>
public enum PrimaryCriterion : uint
{
    /// <summary>All requests are.</summary>
    All = 0,

    /// <summary>A list of classes.</summary>
    Importance = 1,

    /// <summary>The classes that come most often.</summary>
    Frequency = 2,

    /// <summary>The requests that cost most.</summary>
    Effort = 3,
}
