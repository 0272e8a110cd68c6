using VmShunt.Ring.Memory;

namespace VmShunt.HostPartition.Disk;

/// <summary>
/// The one owner of a disk in VM-H. Every front end (the AHCI model, the virtio-blk device) ends here, so a request has
/// the same bytes, the same errors and the same durability whichever road brought it. Any thread.
/// </summary>
internal sealed class VirtualizationDriver : IDisposable
{
    private readonly HostClassDriver _disk;
    private readonly WriteCache _cache;
    private readonly Lock _refreshing = new();

    /// <param name="disk">The disk; owned.</param>
    /// <param name="serial">At most 20 ASCII characters.</param>
    /// <param name="blockBytes">512 or 4096.</param>
    /// <param name="writeCache">Whether front ends may have a write cache; without one every write is durable when it completes.</param>
    internal VirtualizationDriver(HostClassDriver disk, string serial, int blockBytes, bool writeCache = true)
    {
        _disk = disk;
        _cache = new WriteCache(writeCache);
        Serial = serial;
        BlockBytes = blockBytes;
    }

    /// <summary>The capacity in sectors of 512 bytes.</summary>
    internal ulong SectorCount => _disk.SectorCount;

    /// <summary>The block size that the disk prefers, 512 or 4096 bytes; sectors stay 512.</summary>
    internal int BlockBytes { get; }

    /// <summary>At most 20 ASCII characters; what IDENTIFY and GET_ID answer.</summary>
    internal string Serial { get; }

    internal bool IsReadOnly => _disk.IsReadOnly;

    /// <summary>What sizes suit the disk; its physical block is no smaller than <see cref="BlockBytes"/>.</summary>
    internal DiskTopology Topology =>
        _disk.Topology with { PhysicalBlockBytes = Math.Max(_disk.Topology.PhysicalBlockBytes, BlockBytes), MinIoBytes = Math.Max(_disk.Topology.MinIoBytes, BlockBytes) };

    /// <summary>Whether a range that was discarded reads as zeros, or as before; otherwise as anything.</summary>
    internal bool DiscardIsDeterministic => _disk.DiscardIsDeterministic;

    internal string Description => _disk.Description;

    /// <summary>Whether a request takes hardly longer than its way here and back.</summary>
    internal bool IsQuick => _disk.IsQuick;

    /// <summary>Whether no request waits for a device: how long one takes is how much it moves.</summary>
    internal bool NeverWaits => _disk.NeverWaits;

    /// <summary>Raised, on the thread of <see cref="Refresh"/>, when the capacity has changed. Handlers do not wait.</summary>
    internal event Action? CapacityChanged;

    /// <summary>Looks at the disk's size again and tells front ends of a change.</summary>
    internal void Refresh()
    {
        lock (_refreshing)
        {
            if (_disk.Refresh()) CapacityChanged?.Invoke();
        }
    }

    /// <summary>Fills the list from <paramref name="sector"/> on. Its total is a multiple of 512; it is used up.</summary>
    /// <param name="sector">Where.</param>
    /// <param name="target">Where to.</param>
    /// <param name="next">Where the next read will likely be; a hint.</param>
    internal DiskStatus Read(ulong sector, IoVectors target, ulong next = HostClassDriver.NoSector) => _disk.Read(sector, target, next);

    /// <summary>Writes the list from <paramref name="sector"/> on. Its total is a multiple of 512; it is used up.</summary>
    /// <param name="sector">Where.</param>
    /// <param name="source">The bytes.</param>
    /// <param name="stop">Raised when the front end can wait no longer; a write that waits for room then ends as <see cref="DiskStatus.Stopped"/>.</param>
    internal DiskStatus Write(ulong sector, IoVectors source, SharedFlag stop) => Complete(_disk.Write(sector, source, stop));

    /// <summary>A queue for a thread whose requests are to be under way side by side, or null where that is no use.</summary>
    internal CheckedIoQueue? TryOpenQueue(int depth) => _disk.TryOpenQueue(depth);

    /// <summary>A write that was begun on a queue has ended well.</summary>
    internal DiskStatus CompleteWrite() => Complete(DiskStatus.Ok);

    /// <summary>Returns when every write that was completed before, on any road, is durable.</summary>
    internal DiskStatus Flush() => _disk.Flush();

    /// <summary>Gives a range back to the device; a hint.</summary>
    internal DiskStatus Discard(ulong sector, ulong sectors) => _disk.Discard(sector, sectors);

    /// <summary>Makes a range read as zeros; for <paramref name="stop"/> see <see cref="Write"/>.</summary>
    internal DiskStatus WriteZeroes(ulong sector, ulong sectors, bool mayUnmap, SharedFlag stop) =>
        Complete(_disk.WriteZeroes(sector, sectors, mayUnmap, stop));

    /// <summary>A new front end's switch of the write cache; the front end's own.</summary>
    internal WriteCacheSwitch OpenWriteCache() => new(_cache, _disk);

    public void Dispose() => _disk.Dispose();

    // The cache is asked when the write is done: whoever turned it off before may count on this one.
    private DiskStatus Complete(DiskStatus written) => written == DiskStatus.Ok && _cache.MustFlush ? _disk.Flush() : written;
}
