using VmShunt.Ring.Memory;

namespace VmShunt.BlockBackend.Disk;

/// <summary>
/// The single owner of a disk in VM-H. Both front ends (AHCI and virtio-blk) use it, so data, errors and durability are the
/// same on the trap path and the ring path. Any thread.
/// </summary>
internal sealed class VirtualizationDriver : IDisposable
{
    private readonly HostClassDriver _disk;
    private readonly WriteCache _cache;
    private readonly int? _physicalBytes;
    private readonly Lock _refreshing = new();
    private int _lateCommands;

    /// <param name="disk">The disk; owned.</param>
    /// <param name="serial">At most 20 ASCII characters.</param>
    /// <param name="blockBytes">512 or 4096.</param>
    /// <param name="writeCache">Whether front ends have a write cache; without one every write is durable when it completes.</param>
    /// <param name="physicalBytes">The physical block size that guests see, a power of two of at least the block size; null for what the disk prefers.</param>
    internal VirtualizationDriver(HostClassDriver disk, string serial, int blockBytes, bool writeCache = true, int? physicalBytes = null)
    {
        Lease = disk.OpenLease(() => HasLateCommand);
        _physicalBytes = physicalBytes;
        _disk = disk;
        _cache = new WriteCache(writeCache);
        Serial = serial;
        BlockBytes = blockBytes;
    }

    /// <summary>The capacity in sectors of 512 bytes: a whole number of logical blocks.</summary>
    internal ulong SectorCount => _disk.SectorCount & ~(BlockSectors - 1);

    /// <summary>The logical block size of both paths, 512 or 4096 bytes; sectors stay 512.</summary>
    internal int BlockBytes { get; }

    /// <summary>The sectors of 512 bytes in a logical block.</summary>
    internal ulong BlockSectors => (ulong)BlockBytes / HostClassDriver.SectorBytes;

    /// <summary>At most 20 ASCII characters; returned by IDENTIFY DEVICE and GET_ID.</summary>
    internal string Serial { get; }

    internal bool IsReadOnly => _disk.IsReadOnly;

    /// <summary>The preferred request sizes; the physical block is at least <see cref="BlockBytes"/>.</summary>
    internal DiskTopology Topology
    {
        get
        {
            var own = _disk.Topology;
            var physical = _physicalBytes ?? Math.Max(own.PhysicalBlockBytes, BlockBytes);
            return own with { PhysicalBlockBytes = physical, AlignmentOffset = own.AlignmentOffset % physical, MinIoBytes = Math.Max(own.MinIoBytes, physical) };
        }
    }

    /// <inheritdoc cref="PortDriver.DiscardIsDeterministic"/>
    internal bool DiscardIsDeterministic => _disk.DiscardIsDeterministic;

    internal string Description => _disk.Description;

    /// <inheritdoc cref="PortDriver.IsMemoryResident"/>
    internal bool IsMemoryResident => _disk.IsMemoryResident;

    /// <inheritdoc cref="PortDriver.NeverBlocks"/>
    internal bool NeverBlocks => _disk.NeverBlocks;

    /// <inheritdoc cref="PortDriver.CanAbandon"/>
    internal bool CanAbandon => _disk.CanAbandon;

    /// <summary>Raised on the thread of <see cref="Refresh"/> when the capacity changed. Handlers must not block.</summary>
    internal event Action? CapacityChanged;

    /// <summary>Re-reads the disk's size and notifies the front ends of a change.</summary>
    internal void Refresh()
    {
        lock (_refreshing)
        {
            // Sessions subscribe on their own threads: acquire, so that a new handler is seen initialized.
            if (_disk.Refresh()) Ordered.Load(ref CapacityChanged)?.Invoke();
        }
    }

    /// <summary>Reads into the list, which must be a multiple of 512 bytes long and may be consumed.</summary>
    /// <param name="sector">The first sector.</param>
    /// <param name="target">The buffers.</param>
    /// <param name="next">The first sector of the expected next read, to prefetch it: a hint.</param>
    internal DiskStatus Read(ulong sector, IoVectors target, ulong next = HostClassDriver.NoSector) => _disk.Read(sector, target, next);

    /// <summary>Writes the list, which must be a multiple of 512 bytes long and may be consumed.</summary>
    /// <param name="sector">The first sector.</param>
    /// <param name="source">The buffers.</param>
    /// <param name="stop">Cancels a wait for free space; the write then completes with <see cref="DiskStatus.Stopped"/>.</param>
    internal DiskStatus Write(ulong sector, IoVectors source, SharedFlag stop) => Complete(_disk.Write(sector, source, stop));

    /// <inheritdoc cref="HostClassDriver.TryOpenQueue"/>
    internal CheckedIoQueue? TryOpenQueue(int depth, GuestMemory memory) => _disk.TryOpenQueue(depth, memory);

    /// <summary>Makes successful writes of a queue durable where the write cache is off.</summary>
    internal DiskStatus CompleteWrite() => Complete(DiskStatus.Ok);

    /// <summary>Discards a range; a hint.</summary>
    internal DiskStatus Discard(ulong sector, ulong sectors) => _disk.Discard(sector, sectors);

    /// <summary>Makes a range read as zeros; for <paramref name="stop"/> see <see cref="Write"/>.</summary>
    internal DiskStatus WriteZeroes(ulong sector, ulong sectors, bool mayUnmap, SharedFlag stop) =>
        Complete(_disk.WriteZeroes(sector, sectors, mayUnmap, stop));

    /// <summary>The right to use the disk: a front end enters before its first request, and leaves after its last one.</summary>
    internal DiskLease Lease { get; }

    /// <summary>Whether no request may start now: another process has the disk, or <see cref="HasLateCommand"/>.</summary>
    internal bool MustWait => HasLateCommand || !Lease.TryTake();

    /// <summary>
    /// Whether a command that its guest has abandoned, by a reset, or a request of a ring that was stopped, is still on its way
    /// to the disk. No other request may start meanwhile, on any path: the late one could overwrite what the guest writes next.
    /// </summary>
    internal bool HasLateCommand => Ordered.Load(ref _lateCommands) != 0;

    /// <summary>Notes a late command; <see cref="EndLateCommand"/> follows.</summary>
    internal void BeginLateCommand() => Interlocked.Increment(ref _lateCommands);

    /// <summary>A late command is complete.</summary>
    internal void EndLateCommand() => Interlocked.Decrement(ref _lateCommands);

    /// <summary>Blocks until no late command is left.</summary>
    internal void AwaitLateCommands()
    {
        while (HasLateCommand) Thread.Sleep(1);
    }

    /// <summary>Opens a front end's switch of the write cache; the front end owns it.</summary>
    internal WriteCacheSwitch OpenWriteCache() => new(_cache, _disk);

    /// <inheritdoc cref="PortDriver.Abort"/>
    internal void Abort() => _disk.Abort();

    public void Dispose() => _disk.Dispose();

    // Checked after the write: a front end that turned the cache off before it relies on its durability.
    private DiskStatus Complete(DiskStatus written) => written == DiskStatus.Ok && _cache.MustFlush ? _disk.Flush() : written;
}
