using VmShunt.HostPartition.HardwareStack;
using VmShunt.Ring.Memory;

namespace VmShunt.HostPartition;

/// <summary>
/// The one owner of a disk in VM-H. Every front end (the AHCI model, the virtio-blk device) ends here, so a request has
/// the same bytes, the same errors and the same durability whichever road brought it. Any thread.
/// </summary>
internal sealed class VirtualizationDriver : IDisposable
{
    private readonly DiskClassDriver _disk;

    internal VirtualizationDriver(DiskClassDriver disk, string serial, int blockBytes)
    {
        _disk = disk;
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

    internal string Description => _disk.Description;

    /// <summary>Raised, on the thread of <see cref="Refresh"/>, when the capacity has changed.</summary>
    internal event Action? CapacityChanged;

    /// <summary>Looks at the disk's size again and tells front ends of a change.</summary>
    internal void Refresh()
    {
        if (_disk.Refresh()) CapacityChanged?.Invoke();
    }

    /// <summary>Fills the list from <paramref name="sector"/> on. Its total is a multiple of 512; it is used up.</summary>
    internal DiskStatus Read(ulong sector, IoVectors target) => _disk.Read(sector, target);

    /// <summary>Writes the list from <paramref name="sector"/> on. Its total is a multiple of 512; it is used up.</summary>
    internal DiskStatus Write(ulong sector, IoVectors source) => _disk.Write(sector, source);

    /// <summary>Returns when every write that was completed before, on any road, is durable.</summary>
    internal DiskStatus Flush() => _disk.Flush();

    /// <summary>Gives a range back to the device; a hint.</summary>
    internal DiskStatus Discard(ulong sector, ulong sectors) => _disk.Discard(sector, sectors);

    /// <summary>Makes a range read as zeros.</summary>
    internal DiskStatus WriteZeroes(ulong sector, ulong sectors, bool mayUnmap) => _disk.WriteZeroes(sector, sectors, mayUnmap);

    public void Dispose() => _disk.Dispose();
}
