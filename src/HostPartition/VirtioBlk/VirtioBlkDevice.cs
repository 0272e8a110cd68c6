using System.Runtime.InteropServices;
using System.Text;
using VmShunt.HostPartition.HardwareStack;
using VmShunt.Ring.Memory;
using VmShunt.Ring.VirtioBlk;

namespace VmShunt.HostPartition.VirtioBlk;

/// <summary>
/// The virtio block device (virtio 1.3 §5.2): what it offers, its configuration space, and what a request means. One a
/// guest. It knows no ring and no socket; requests are processed by a <see cref="VirtioBlkRequestProcessor"/> each.
/// </summary>
internal sealed class VirtioBlkDevice
{
    private const uint MaxRangeSectors = 1 << 22;
    private const uint MaxRanges = 16;

    // Offset of writeback in the configuration space (virtio 1.3 §5.2.4).
    private const int WritebackOffset = 32;

    private readonly VirtioBlkConfig _config;
    private readonly SharedFlag _throughByChoice = new();

    /// <param name="disk">The disk.</param>
    /// <param name="queues">Request queues offered.</param>
    /// <param name="writeThrough">The disk itself keeps every write at once: there is no cache to choose.</param>
    internal VirtioBlkDevice(VirtualizationDriver disk, int queues, bool writeThrough)
    {
        Disk = disk;
        Features = VirtioBlkFeatures.Version1 | VirtioBlkFeatures.IndirectDescriptors | VirtioBlkFeatures.EventIndex
            | VirtioBlkFeatures.PackedRing | VirtioBlkFeatures.InOrder | VirtioBlkFeatures.SegMax | VirtioBlkFeatures.BlockSize | VirtioBlkFeatures.Flush | VirtioBlkFeatures.MultiQueue
            | (writeThrough ? 0 : VirtioBlkFeatures.ConfigWriteCache)
            | (disk.IsReadOnly ? VirtioBlkFeatures.ReadOnly : VirtioBlkFeatures.Discard | VirtioBlkFeatures.WriteZeroes);
        _config = new VirtioBlkConfig
        {
            Capacity = disk.SectorCount,
            SegMax = 254,
            BlockSize = (uint)disk.BlockBytes,
            WriteCache = (byte)(writeThrough ? 0 : 1),
            NumQueues = (ushort)queues,
            MaxDiscardSectors = MaxRangeSectors,
            MaxDiscardSeg = MaxRanges,
            DiscardSectorAlignment = (uint)disk.BlockBytes / DiskClassDriver.SectorBytes,
            MaxWriteZeroesSectors = MaxRangeSectors,
            MaxWriteZeroesSeg = MaxRanges,
            WriteZeroesMayUnmap = 1,
        };
    }

    internal VirtualizationDriver Disk { get; }

    internal VirtioBlkFeatures Features { get; }

    /// <summary>Whether the driver wants each write durable before it completes (VIRTIO_BLK_F_CONFIG_WCE, virtio 1.3 §5.2.5). Any thread.</summary>
    internal bool IsWriteThrough => _throughByChoice.IsRaised;

    /// <summary>Copies configuration space; past its end there are zeros (virtio 1.3 §2.5: reads there are undefined).</summary>
    internal void ReadConfig(int offset, Span<byte> target)
    {
        target.Clear();
        var config = _config with { Capacity = Disk.SectorCount };
        if (IsWriteThrough) config.WriteCache = 0;
        var bytes = MemoryMarshal.AsBytes(new ReadOnlySpan<VirtioBlkConfig>(in config));
        if (offset < bytes.Length) bytes[offset..Math.Min(bytes.Length, offset + target.Length)].CopyTo(target);
    }

    /// <summary>Writes configuration space: the cache's mode is all that a driver may choose.</summary>
    /// <returns>False when the range is anything else.</returns>
    internal bool TryWriteConfig(int offset, ReadOnlySpan<byte> source)
    {
        if (!Features.HasFlag(VirtioBlkFeatures.ConfigWriteCache) || offset != WritebackOffset || source.Length != 1 || source[0] > 1) return false;
        if (source[0] == 1) _throughByChoice.Lower();
        else _throughByChoice.Raise();
        // What was written back so far counts as written through from now on.
        return source[0] == 1 || Disk.Flush() == DiskStatus.Ok;
    }

    /// <summary>DISCARD and WRITE_ZEROES: checks every range before the first is done (virtio 1.3 §5.2.6.2).</summary>
    internal VirtioBlkStatus ApplyRanges(VirtioBlkRequestType type, ReadOnlySpan<byte> bytes)
    {
        if (Disk.IsReadOnly) return VirtioBlkStatus.IoError;
        if (bytes.Length == 0 || bytes.Length % VirtioBlkRange.Bytes != 0) return VirtioBlkStatus.IoError;
        var ranges = MemoryMarshal.Cast<byte, VirtioBlkRange>(bytes);
        if (ranges.Length > MaxRanges) return VirtioBlkStatus.IoError;
        var zeroes = type == VirtioBlkRequestType.WriteZeroes;
        foreach (var range in ranges)
        {
            // Unknown flags, and UNMAP on a discard, are answered with UNSUPP (virtio 1.3 §5.2.6.2).
            if ((range.Flags & ~(zeroes ? VirtioBlkRange.Unmap : 0)) != 0) return VirtioBlkStatus.Unsupported;
            if (range.SectorCount is 0 or > MaxRangeSectors) return VirtioBlkStatus.IoError;
            var capacity = Disk.SectorCount;
            if (range.SectorCount > capacity || range.Sector > capacity - range.SectorCount) return VirtioBlkStatus.IoError;
        }
        foreach (var range in ranges)
        {
            var status = zeroes
                ? Disk.WriteZeroes(range.Sector, range.SectorCount, (range.Flags & VirtioBlkRange.Unmap) != 0)
                : Disk.Discard(range.Sector, range.SectorCount);
            if (status != DiskStatus.Ok) return ToVirtio(status);
        }
        return VirtioBlkStatus.Ok;
    }

    /// <summary>GET_ID: the serial, padded with zeros to 20 bytes.</summary>
    internal void WriteId(Span<byte> twenty)
    {
        twenty.Clear();
        Encoding.ASCII.GetBytes(Disk.Serial.AsSpan(0, Math.Min(Disk.Serial.Length, twenty.Length)), twenty);
    }

    internal static VirtioBlkStatus ToVirtio(DiskStatus status) => status switch
    {
        DiskStatus.Ok => VirtioBlkStatus.Ok,
        DiskStatus.Unsupported => VirtioBlkStatus.Unsupported,
        _ => VirtioBlkStatus.IoError,
    };
}
