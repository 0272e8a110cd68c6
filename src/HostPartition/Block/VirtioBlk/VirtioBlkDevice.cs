using System.Runtime.InteropServices;
using System.Text;
using VmShunt.BlockBackend.Disk;
using VmShunt.Ring.Memory;
using VmShunt.Ring.VirtioBlk;

namespace VmShunt.BlockBackend.VirtioBlk;

/// <summary>
/// A virtio block device (virtio 1.3 §5.2) of one guest: features, configuration space, cache mode. It uses no ring and no
/// socket. The session's thread configures it; each ring has its own <see cref="VirtioBlkRequestProcessor"/>.
/// </summary>
internal sealed class VirtioBlkDevice : IDisposable
{
    private readonly VirtioBlkConfigSpace _config;
    private readonly WriteCacheSwitch _writeCache;
    private long _negotiated;

    // The cache was turned off because the driver did not negotiate FLUSH.
    private bool _cannotFlush;

    /// <param name="disk">The disk; not owned.</param>
    /// <param name="queues">The number of request queues.</param>
    /// <param name="maxQueueSize">The largest queue size.</param>
    /// <param name="implemented">The request types that are carried out. Features of other types are not offered, and their requests complete with UNSUPP.</param>
    /// <param name="maxSegments">The most data segments of a request; fewer if they do not fit the largest queue.</param>
    internal VirtioBlkDevice(
        VirtualizationDriver disk, int queues, int maxQueueSize, RequestTypes implemented = RequestTypes.All, int maxSegments = VirtioBlkConfigSpace.DefaultSegments)
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
        _config = new VirtioBlkConfigSpace(disk, queues, maxQueueSize, maxSegments, implemented);
        _writeCache = disk.OpenWriteCache();
        Negotiated = Features;
    }

    internal VirtualizationDriver Disk { get; }

    /// <summary>The request types that are carried out.</summary>
    internal RequestTypes Implemented { get; }

    internal VirtioBlkFeatures Features { get; }

    /// <summary>The features that the driver accepted.</summary>
    // The session's thread stores it, ring threads load it. No other data depends on it.
    internal VirtioBlkFeatures Negotiated
    {
        get => (VirtioBlkFeatures)Ordered.Load(ref _negotiated);
        private set => Ordered.Store(ref _negotiated, (long)value);
    }

    /// <summary>
    /// Sets the features that the driver accepted. Without FLUSH the driver relies on every write being durable when it
    /// completes (virtio 1.3 §5.2.5, §5.2.6.2), so the write cache is turned off.
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
            // Firmware did not negotiate FLUSH; the operating system that it booted does.
            _cannotFlush = false;
            _writeCache.TurnOn();
        }
    }

    /// <summary>
    /// The most data segments that fit a ring of so many entries, if that is less than a driver may use that has no indirect
    /// descriptors: a longer request never fits, and its driver waits for room forever.
    /// </summary>
    /// <returns>Null where every request fits.</returns>
    internal int? FindTooFewSegments(int ringSize) =>
        Negotiated.HasFlag(VirtioBlkFeatures.IndirectDescriptors) || _config.MaxSegments <= ringSize - VirtioBlkConfigSpace.HeaderAndStatus
            ? null
            : Math.Max(ringSize - VirtioBlkConfigSpace.HeaderAndStatus, 0);

    /// <summary>The most data segments of a request (seg_max).</summary>
    internal int MaxSegments => _config.MaxSegments;

    /// <summary>Returns to the state before a driver chose features and cache mode (virtio 1.3 §2.1.2). No ring runs.</summary>
    internal void Reset()
    {
        Negotiated = Features;
        _cannotFlush = false;
        _writeCache.Reset();
    }

    internal void ReadConfig(int offset, Span<byte> target) => _config.Read(offset, target, _writeCache.IsOn);

    /// <summary>Writes configuration space. Only the cache mode is writable (virtio 1.3 §5.2.5).</summary>
    /// <returns>False when the range is not writable, the disk has no write cache, or the flush before turning it off failed.</returns>
    internal bool TryWriteConfig(int offset, ReadOnlySpan<byte> source)
    {
        if (offset != VirtioBlkConfig.WriteCacheOffset || source.Length != 1 || source[0] > 1) return false;
        if (_writeCache.Turn(on: source[0] == 1) != DiskStatus.Ok) return false;
        // The driver chose the mode itself, so a later negotiation must not change it back.
        _cannotFlush = false;
        return true;
    }

    /// <summary>Accepts or rejects the request types that a shunt declares.</summary>
    /// <returns>False when the device does not implement one of them, or does not know the declaration's version.</returns>
    internal bool TryAgree(in ShuntDeclaration declared)
    {
        if (declared.Version != ShuntAgreement.CurrentVersion || (declared.Primary & ~Implemented) != 0) return false;
        // Without the FLUSH feature the write cache was turned off; but the shunt's flushes use the trap path.
        if (!Implemented.HasFlag(RequestTypes.Flush)) _writeCache.Turn(on: true);
        return true;
    }

    /// <summary>DISCARD and WRITE_ZEROES: checks all ranges before it applies the first (virtio 1.3 §5.2.6.2).</summary>
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
            // Unknown flags, and UNMAP on a discard, complete with UNSUPP before any other check (virtio 1.3 §5.2.6.2).
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

    /// <summary>FLUSH: returns when every completed write is durable.</summary>
    internal DiskStatus Flush() => _writeCache.Flush();

    /// <summary>GET_ID: the serial number, padded with zeros to 20 bytes.</summary>
    internal void WriteId(Span<byte> twenty)
    {
        twenty.Clear();
        Encoding.ASCII.GetBytes(Disk.Serial.AsSpan(0, Math.Min(Disk.Serial.Length, twenty.Length)), twenty);
    }

    public void Dispose() => _writeCache.Dispose();
}
