using Microsoft.Extensions.Logging;
using VmShunt.Ring.Memory;

namespace VmShunt.HostPartition.HardwareStack;

/// <summary>
/// The class driver of VM-H's hardware stack: what is true of every disk. Counts in sectors of 512 bytes, checks ranges
/// and write permission once for all front ends, and turns failures into a status. Any thread.
/// </summary>
internal sealed class DiskClassDriver : IDisposable
{
    /// <summary>The unit of every sector number, whatever the block size (virtio 1.3 §5.2.4; ATA).</summary>
    internal const int SectorBytes = 512;

    private readonly PortDriver _port;
    private readonly ILogger _log;
    private ulong _sectorCount;

    internal DiskClassDriver(PortDriver port, ILogger log)
    {
        _port = port;
        _log = log;
        _sectorCount = CountSectors();
    }

    /// <summary>The capacity. A partial last sector counts as a whole one; its missing part reads as zeros.</summary>
    internal ulong SectorCount => Interlocked.Read(ref _sectorCount);

    internal bool IsReadOnly => _port.IsReadOnly;

    internal string Description => _port.Description;

    /// <summary>Looks at the device's size again. Requests past a new end fail; a device that shrank to nothing keeps its size.</summary>
    /// <returns>Whether the capacity has changed.</returns>
    internal bool Refresh()
    {
        try
        {
            _port.Refresh();
        }
        catch (IOException e)
        {
            Failed(e);
            return false;
        }
        var now = CountSectors();
        if (now == 0) return false;
        var before = Interlocked.Exchange(ref _sectorCount, now);
        if (before != now) _log.DiskResized(Description, before, now);
        return before != now;
    }

    /// <summary>Reads as many bytes as the list asks for. Its total must be a multiple of 512.</summary>
    internal DiskStatus Read(ulong sector, IoVectors target)
    {
        if (!IsOnDisk(sector, (ulong)target.TotalBytes / SectorBytes)) return DiskStatus.OutOfRange;
        try
        {
            _port.Read(target, (long)sector * SectorBytes);
            return DiskStatus.Ok;
        }
        catch (IOException e)
        {
            return Failed(e);
        }
    }

    /// <summary>Writes the list's bytes. Its total must be a multiple of 512.</summary>
    internal DiskStatus Write(ulong sector, IoVectors source)
    {
        if (IsReadOnly) return DiskStatus.ReadOnly;
        if (!IsOnDisk(sector, (ulong)source.TotalBytes / SectorBytes)) return DiskStatus.OutOfRange;
        try
        {
            _port.Write(source, (long)sector * SectorBytes);
            return DiskStatus.Ok;
        }
        catch (IOException e)
        {
            return Failed(e);
        }
    }

    internal DiskStatus Flush()
    {
        try
        {
            _port.Flush();
            return DiskStatus.Ok;
        }
        catch (IOException e)
        {
            return Failed(e);
        }
    }

    /// <summary>Gives a range back. A hint: a device that cannot leaves the data and says Ok.</summary>
    internal DiskStatus Discard(ulong sector, ulong sectors)
    {
        if (IsReadOnly) return DiskStatus.ReadOnly;
        if (!IsOnDisk(sector, sectors)) return DiskStatus.OutOfRange;
        if (sectors == 0) return DiskStatus.Ok;
        _ = _port.TryDiscard((long)sector * SectorBytes, (long)sectors * SectorBytes);
        return DiskStatus.Ok;
    }

    /// <summary>Makes a range read as zeros; with <paramref name="mayUnmap"/> its space may go.</summary>
    internal DiskStatus WriteZeroes(ulong sector, ulong sectors, bool mayUnmap)
    {
        if (IsReadOnly) return DiskStatus.ReadOnly;
        if (!IsOnDisk(sector, sectors)) return DiskStatus.OutOfRange;
        long offset = (long)sector * SectorBytes, bytes = (long)sectors * SectorBytes;
        if (bytes == 0 || (mayUnmap && _port.TryDiscard(offset, bytes))) return DiskStatus.Ok;
        try
        {
            _port.WriteZeroes(offset, bytes);
            return DiskStatus.Ok;
        }
        catch (IOException e)
        {
            return Failed(e);
        }
    }

    public void Dispose() => _port.Dispose();

    private ulong CountSectors() => (ulong)((_port.Bytes + SectorBytes - 1) / SectorBytes);

    private bool IsOnDisk(ulong sector, ulong sectors)
    {
        var count = SectorCount;
        return sectors <= count && sector <= count - sectors;
    }

    private DiskStatus Failed(IOException e)
    {
        _log.DiskFailed(Description, e.Message);
        return DiskStatus.IoError;
    }
}
