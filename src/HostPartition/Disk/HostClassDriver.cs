using Microsoft.Extensions.Logging;
using VmShunt.HostPartition.Log;
using VmShunt.Ring.Files;
using VmShunt.Ring.Memory;

namespace VmShunt.HostPartition.Disk;

/// <summary>
/// The class driver of VM-H's hardware stack: what is true of every disk. Counts in sectors of 512 bytes, checks ranges
/// and write permission once for all front ends, and turns failures into a status. Any thread.
/// </summary>
internal sealed class HostClassDriver : IDisposable
{
    /// <summary>The unit of every sector number, whatever the block size (virtio 1.3 §5.2.4; ATA).</summary>
    internal const int SectorBytes = 512;

    /// <summary>No sector of any disk.</summary>
    internal const ulong NoSector = ulong.MaxValue;

    private readonly PortDriver _port;
    private readonly DiskErrorLog _errors;
    private readonly NoSpaceWait? _room;
    private readonly ILogger _log;
    private ulong _sectors;

    /// <param name="port">The device; owned.</param>
    /// <param name="log">Where its errors go.</param>
    /// <param name="waitForRoom">What a full device means: writes that wait until there is room, or writes that fail.</param>
    /// <param name="time">The clock of the error log.</param>
    internal HostClassDriver(PortDriver port, ILogger log, bool waitForRoom = false, TimeProvider? time = null)
    {
        _port = port;
        _errors = new DiskErrorLog(port.Description, log, time ?? TimeProvider.System);
        _room = waitForRoom ? new NoSpaceWait(port.Description, log) : null;
        _log = log;
        _sectors = CountSectors();
    }

    /// <summary>The capacity. A partial last sector counts as a whole one; its missing part reads as zeros.</summary>
    internal ulong SectorCount => Interlocked.Read(ref _sectors);

    internal bool IsReadOnly => _port.IsReadOnly;

    internal string Description => _port.Description;

    /// <summary>Whether a request takes hardly longer than its way here and back.</summary>
    internal bool IsQuick => _port.IsQuick;

    /// <summary>Whether no request waits for a device: how long one takes is how much it moves.</summary>
    internal bool NeverWaits => _port.NeverWaits;

    internal DiskTopology Topology => _port.Topology;

    /// <summary>Whether a range that was discarded reads as zeros, or as before; otherwise as anything.</summary>
    internal bool DiscardIsDeterministic => _port.DiscardIsDeterministic;

    /// <summary>
    /// Looks at the device's size again. Requests past a new end fail; a device that shrank to nothing keeps its size. One
    /// thread at a time, beside requests.
    /// </summary>
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
        var before = Interlocked.Exchange(ref _sectors, now);
        if (before != now) _log.DiskResized(Description, before, now);
        return before != now;
    }

    /// <summary>Reads as many bytes as the list asks for. Its total must be a multiple of 512.</summary>
    /// <param name="sector">Where.</param>
    /// <param name="target">Where to.</param>
    /// <param name="next">Where the next read will likely be, so that it can be fetched meanwhile; any number, it is only a hint.</param>
    internal DiskStatus Read(ulong sector, IoVectors target, ulong next = NoSector)
    {
        if (!IsOnDisk(sector, (ulong)target.TotalBytes / SectorBytes)) return DiskStatus.OutOfRange;
        try
        {
            _port.Read(target, (long)sector * SectorBytes, next < SectorCount ? (long)next * SectorBytes : -1);
            return DiskStatus.Ok;
        }
        catch (IOException e)
        {
            return Failed(e);
        }
    }

    /// <summary>Writes the list's bytes. Its total must be a multiple of 512.</summary>
    /// <param name="sector">Where.</param>
    /// <param name="source">The bytes.</param>
    /// <param name="stop">Ends a wait for room on a full disk.</param>
    internal DiskStatus Write(ulong sector, IoVectors source, SharedFlag stop)
    {
        if (IsReadOnly) return DiskStatus.ReadOnly;
        var bytes = source.TotalBytes;
        if (!IsOnDisk(sector, (ulong)bytes / SectorBytes)) return DiskStatus.OutOfRange;
        try
        {
            _port.Write(source, (long)sector * SectorBytes);
            return DiskStatus.Ok;
        }
        catch (IOException e) when (_room is not null && DiskFile.IsFull(e))
        {
            return RetryWrite(e, _room, source, (long)sector * SectorBytes + bytes, stop);
        }
        catch (IOException e)
        {
            return Failed(e);
        }
    }

    /// <summary>A queue for a thread whose requests are to be under way side by side, or null where that is no use.</summary>
    internal CheckedIoQueue? TryOpenQueue(int depth) => _port.TryOpenQueue(depth) is { } port ? new CheckedIoQueue(this, port) : null;

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

    /// <summary>Makes a range read as zeros.</summary>
    /// <param name="sector">Where.</param>
    /// <param name="sectors">How many.</param>
    /// <param name="mayUnmap">Whether its space may go.</param>
    /// <param name="stop">Ends a wait for room on a full disk.</param>
    internal DiskStatus WriteZeroes(ulong sector, ulong sectors, bool mayUnmap, SharedFlag stop)
    {
        if (IsReadOnly) return DiskStatus.ReadOnly;
        if (!IsOnDisk(sector, sectors)) return DiskStatus.OutOfRange;
        long offset = (long)sector * SectorBytes, bytes = (long)sectors * SectorBytes;
        if (bytes == 0 || (mayUnmap && _port.TryUnmap(offset, bytes))) return DiskStatus.Ok;
        try
        {
            _port.WriteZeroes(offset, bytes);
            return DiskStatus.Ok;
        }
        catch (IOException e) when (_room is not null && DiskFile.IsFull(e))
        {
            return RetryZeroes(e, _room, offset, bytes, stop);
        }
        catch (IOException e)
        {
            return Failed(e);
        }
    }

    public void Dispose()
    {
        _errors.Dispose();
        _port.Dispose();
    }

    private ulong CountSectors() => (ulong)(_port.Bytes + SectorBytes - 1) / SectorBytes;

    internal bool IsOnDisk(ulong sector, ulong sectors)
    {
        // Read once: it may change at any time.
        var count = SectorCount;
        return sectors <= count && sector <= count - sectors;
    }

    // Of their own, so that what they capture is allocated here and not by every request.
    private DiskStatus RetryWrite(IOException full, NoSpaceWait room, IoVectors source, long end, SharedFlag stop) =>
        Retry(full, room, stop, () => _port.Write(source, end - source.TotalBytes));

    private DiskStatus RetryZeroes(IOException full, NoSpaceWait room, long offset, long bytes, SharedFlag stop) =>
        Retry(full, room, stop, () => _port.WriteZeroes(offset, bytes));

    private DiskStatus Retry(IOException full, NoSpaceWait room, SharedFlag stop, Action attempt)
    {
        room.Begin(full.Message);
        var status = DiskStatus.Stopped;
        while (status == DiskStatus.Stopped && NoSpaceWait.TryAwait(stop))
        {
            try
            {
                attempt();
                status = DiskStatus.Ok;
            }
            catch (IOException e) when (!DiskFile.IsFull(e))
            {
                status = Failed(e);
            }
            catch (IOException)
            {
                // Still full.
            }
        }
        room.End(isDone: status == DiskStatus.Ok);
        return status;
    }

    private DiskStatus Failed(IOException e)
    {
        _errors.Failed(e.Message);
        return DiskStatus.IoError;
    }
}
