using System.Runtime.InteropServices;
using System.Text;
using VmShunt.HostPartition.Disk;
using VmShunt.Ring.Memory;
using VmShunt.Ring.VirtioBlk;

namespace VmShunt.HostPartition.VirtioBlk;

/// <summary>
/// A virtio block device (virtio 1.3 §5.2) of one guest: what it offers, its configuration space and cache mode, and what
/// a request means. It knows no ring and no socket. Configuration is one thread's; requests are processed by a
/// <see cref="VirtioBlkRequestProcessor"/> each, on any thread.
/// </summary>
internal sealed class VirtioBlkDevice : IDisposable
{
    private readonly VirtioBlkConfigSpace _config;
    private readonly WriteCacheSwitch _writeCache;
    private bool _cannotFlush;

    /// <param name="disk">The disk.</param>
    /// <param name="queues">Request queues.</param>
    /// <param name="maxQueueSize">The largest ring.</param>
    /// <param name="implemented">The classes of requests that are done; of others, those that have a feature bit are not offered, and all are refused.</param>
    internal VirtioBlkDevice(VirtualizationDriver disk, int queues, int maxQueueSize, RequestTypes implemented = RequestTypes.All)
    {
        Disk = disk;
        Implemented = implemented;
        Features = VirtioBlkFeatures.Version1 | VirtioBlkFeatures.IndirectDescriptors | VirtioBlkFeatures.EventIndex
            | VirtioBlkFeatures.PackedRing | VirtioBlkFeatures.InOrder | VirtioBlkFeatures.MultiQueue
            | VirtioBlkFeatures.SizeMax | VirtioBlkFeatures.SegMax | VirtioBlkFeatures.BlockSize | VirtioBlkFeatures.Topology
            | VirtioBlkFeatures.Flush | VirtioBlkFeatures.ConfigWriteCache
            | (disk.IsReadOnly ? VirtioBlkFeatures.ReadOnly : VirtioBlkFeatures.Discard | VirtioBlkFeatures.WriteZeroes);
        if (!implemented.HasFlag(RequestTypes.Flush)) Features &= ~(VirtioBlkFeatures.Flush | VirtioBlkFeatures.ConfigWriteCache);
        if (!implemented.HasFlag(RequestTypes.Discard)) Features &= ~VirtioBlkFeatures.Discard;
        if (!implemented.HasFlag(RequestTypes.WriteZeroes)) Features &= ~VirtioBlkFeatures.WriteZeroes;
        _config = new VirtioBlkConfigSpace(disk, queues, maxQueueSize, implemented);
        _writeCache = disk.OpenWriteCache();
        Negotiated = Features;
    }

    internal VirtualizationDriver Disk { get; }

    /// <summary>The classes of requests that are done here.</summary>
    internal RequestTypes Implemented { get; }

    internal VirtioBlkFeatures Features { get; }

    /// <summary>What the driver chose of them.</summary>
    internal VirtioBlkFeatures Negotiated { get; private set; }

    /// <summary>
    /// The driver has chosen its features. One that cannot flush may rely on every write being durable when it completes
    /// (virtio 1.3 §5.2.5, §5.2.6.2), so it gets no write cache.
    /// </summary>
    internal void Negotiate(VirtioBlkFeatures chosen)
    {
        Negotiated = chosen;
        if (!chosen.HasFlag(VirtioBlkFeatures.Flush))
        {
            _cannotFlush |= _writeCache.IsOn;
            _writeCache.TurnOff();
        }
        else if (_cannotFlush)
        {
            // Firmware that could not flush has made way for an operating system that can.
            _cannotFlush = false;
            _writeCache.Reset();
        }
    }

    /// <summary>Copies configuration space.</summary>
    internal void ReadConfig(int offset, Span<byte> target) => _config.Read(offset, target, _writeCache.IsOn);

    /// <summary>Writes configuration space: the cache mode, and nothing else (virtio 1.3 §5.2.5).</summary>
    /// <returns>
    /// False when the range is not writable, the disk has no write cache to turn on, or could not make durable what was
    /// written until now.
    /// </returns>
    internal bool TryWriteConfig(int offset, ReadOnlySpan<byte> source)
    {
        if (offset != VirtioBlkConfig.WriteCacheOffset || source.Length != 1 || source[0] > 1) return false;
        if (_writeCache.Turn(on: source[0] == 1) != DiskStatus.Ok) return false;
        // The driver's own word now.
        _cannotFlush = false;
        return true;
    }

    /// <summary>A shunt declares what it will send.</summary>
    /// <returns>False when that is more than is done here, or is not understood.</returns>
    internal bool TryAgree(in ShuntDeclaration declared)
    {
        if (declared.Version != ShuntAgreement.CurrentVersion || (declared.Primary & ~Implemented) != 0) return false;
        // The features gave it no flush, and so no write cache; but its flushes come by the trap.
        if (!Implemented.HasFlag(RequestTypes.Flush)) _writeCache.Turn(on: true);
        return true;
    }

    /// <summary>DISCARD and WRITE_ZEROES: checks every range before the first is done (virtio 1.3 §5.2.6.2).</summary>
    internal DiskStatus ApplyRanges(VirtioBlkRequestType type, ReadOnlySpan<byte> bytes, SharedFlag stop)
    {
        var zeroes = type == VirtioBlkRequestType.WriteZeroes;
        if (Disk.IsReadOnly) return DiskStatus.ReadOnly;
        if (!Negotiated.HasFlag(zeroes ? VirtioBlkFeatures.WriteZeroes : VirtioBlkFeatures.Discard)) return DiskStatus.Unsupported;
        if (bytes.Length == 0 || bytes.Length % VirtioBlkRange.Bytes != 0) return DiskStatus.OutOfRange;
        var ranges = MemoryMarshal.Cast<byte, VirtioBlkRange>(bytes);
        if (ranges.Length > VirtioBlkConfigSpace.MaxRanges) return DiskStatus.OutOfRange;
        var sectors = Disk.SectorCount;
        foreach (var range in ranges)
        {
            // Unknown flags, and UNMAP on a discard, are answered with UNSUPP whatever else is wrong (virtio 1.3 §5.2.6.2).
            if ((range.Flags & ~(zeroes ? VirtioBlkRange.Unmap : 0)) != 0) return DiskStatus.Unsupported;
        }
        foreach (var range in ranges)
        {
            if (range.SectorCount is 0 or > VirtioBlkConfigSpace.MaxRangeSectors) return DiskStatus.OutOfRange;
            if (range.SectorCount > sectors || range.Sector > sectors - range.SectorCount) return DiskStatus.OutOfRange;
        }
        foreach (var range in ranges)
        {
            var status = zeroes
                ? Disk.WriteZeroes(range.Sector, range.SectorCount, (range.Flags & VirtioBlkRange.Unmap) != 0, stop)
                : Disk.Discard(range.Sector, range.SectorCount);
            if (status != DiskStatus.Ok) return status;
        }
        return DiskStatus.Ok;
    }

    /// <summary>GET_ID: the serial, padded with zeros to 20 bytes.</summary>
    internal void WriteId(Span<byte> twenty)
    {
        twenty.Clear();
        Encoding.ASCII.GetBytes(Disk.Serial.AsSpan(0, Math.Min(Disk.Serial.Length, twenty.Length)), twenty);
    }

    public void Dispose() => _writeCache.Dispose();
}
