using System.Numerics;
using System.Runtime.InteropServices;
using VmShunt.BlockBackend.Disk;
using VmShunt.Ring.VirtioBlk;

namespace VmShunt.BlockBackend.VirtioBlk;

/// <summary>The configuration space (virtio 1.3 §5.2.4): constant but for the capacity and the cache mode.</summary>
internal sealed class VirtioBlkConfigSpace
{
    /// <summary>The most sectors in a range of DISCARD or WRITE_ZEROES.</summary>
    internal const uint MaxRangeSectors = 1 << 22;

    /// <summary>The most ranges in a request.</summary>
    internal const uint MaxRanges = 16;

    /// <summary>A chain is never longer than its ring (virtio 1.3 §2.7.5.3.1), and has a header and a status besides its data.</summary>
    internal const int HeaderAndStatus = 2;

    /// <summary>
    /// The segments that fit a ring of 128 entries, which QEMU has by default. A driver reads seg_max before it sets up its
    /// rings, and one that does not use indirect descriptors builds requests of that size, whatever its ring has.
    /// </summary>
    internal const int DefaultSegments = 128 - HeaderAndStatus;

    /// <summary>The most segments. The largest request stays below 2 GiB.</summary>
    internal const int MostSegments = 510;

    private const uint MaxSegmentBytes = 4 << 20;

    private readonly VirtualizationDriver _disk;
    private readonly VirtioBlkConfig _fixed;
    private readonly ShuntAgreement _agreement;

    internal VirtioBlkConfigSpace(VirtualizationDriver disk, int queues, int maxQueueSize, int maxSegments, RequestTypes implemented)
    {
        _disk = disk;
        _agreement = new ShuntAgreement { Magic = ShuntAgreement.ExpectedMagic, Version = ShuntAgreement.CurrentVersion, Implemented = implemented };
        var topology = disk.Topology;
        var block = disk.BlockBytes;
        var physicalSectors = (uint)topology.PhysicalBlockBytes / HostClassDriver.SectorBytes;
        _fixed = new VirtioBlkConfig
        {
            SizeMax = MaxSegmentBytes,
            SegMax = (uint)Math.Clamp(maxQueueSize - HeaderAndStatus, 1, maxSegments),
            BlockSize = (uint)block,
            PhysicalBlockExponent = (byte)BitOperations.Log2((uint)(topology.PhysicalBlockBytes / block)),
            AlignmentOffset = (byte)Math.Min(topology.AlignmentOffset / block, byte.MaxValue),
            MinIoSize = (ushort)Math.Min(topology.MinIoBytes / block, ushort.MaxValue),
            OptIoSize = (uint)(topology.OptimalIoBytes / block),
            NumQueues = (ushort)queues,
            MaxDiscardSectors = MaxRangeSectors,
            MaxDiscardSeg = MaxRanges,
            DiscardSectorAlignment = physicalSectors,
            MaxWriteZeroesSectors = MaxRangeSectors,
            MaxWriteZeroesSeg = MaxRanges,
            WriteZeroesMayUnmap = 1,
        };
    }

    /// <summary>The most data segments of a request.</summary>
    internal int MaxSegments => (int)_fixed.SegMax;

    /// <summary>
    /// Reads the space. The shunt agreement is at its end; the bytes between are undefined in virtio 1.3 §2.5 and read as 0.
    /// </summary>
    internal void Read(int offset, Span<byte> target, bool writeCache)
    {
        target.Clear();
        var now = _fixed with { Capacity = _disk.SectorCount, WriteCache = writeCache ? (byte)1 : (byte)0 };
        Copy(MemoryMarshal.AsBytes(new ReadOnlySpan<VirtioBlkConfig>(in now)), 0, offset, target);
        Copy(MemoryMarshal.AsBytes(new ReadOnlySpan<ShuntAgreement>(in _agreement)), ShuntAgreement.Offset, offset, target);
    }

    private static void Copy(ReadOnlySpan<byte> bytes, int start, int offset, Span<byte> target)
    {
        var first = Math.Max(start, offset);
        var end = Math.Min(start + bytes.Length, offset + target.Length);
        if (first < end) bytes[(first - start)..(end - start)].CopyTo(target[(first - offset)..]);
    }
}
