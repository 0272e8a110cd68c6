using Microsoft.Extensions.Logging;
using VmShunt.BlockBackend.Log;
using VmShunt.Ring.Files;
using VmShunt.Ring.Memory;

namespace VmShunt.BlockBackend.Disk;

/// <summary>
/// The class driver of VM-H's disk stack. It counts in sectors of 512 bytes, checks range and write permission for all
/// front ends, and turns exceptions into a status. Any thread.
/// </summary>
internal sealed class HostClassDriver : IDisposable
{
    /// <summary>The unit of every sector number, whatever the block size (virtio 1.3 §5.2.4; ATA).</summary>
    internal const int SectorBytes = 512;

    /// <summary>A sector number that no disk has.</summary>
    internal const ulong NoSector = ulong.MaxValue;

    private readonly PortDriver _port;
    private readonly DiskErrorLog _errors;
    private readonly NoSpaceWait? _room;
    private readonly ILogger _log;
    private readonly bool _leaveOpen;
    private long _sectors;
    private long _failedFlushes;

    /// <param name="port">The port driver; owned, unless <paramref name="leaveOpen"/>.</param>
    /// <param name="log">For the disk's errors.</param>
    /// <param name="waitForRoom">Whether a write to a full device waits for free space instead of failing.</param>
    /// <param name="time">The clock of the error log.</param>
    /// <param name="leaveOpen">Whether the port driver stays open at disposal.</param>
    internal HostClassDriver(PortDriver port, ILogger log, bool waitForRoom = false, TimeProvider? time = null, bool leaveOpen = false)
    {
        _port = port;
        _errors = new DiskErrorLog(port.Description, log, time ?? TimeProvider.System);
        _room = waitForRoom ? new NoSpaceWait(port.Description, log) : null;
        _log = log;
        _leaveOpen = leaveOpen;
        _sectors = CountSectors();
    }

    /// <summary>The capacity. An incomplete last sector counts; its missing part reads as zeros.</summary>
    // Refresh changes it while requests run. No other data depends on it.
    internal ulong SectorCount => (ulong)Ordered.Load(ref _sectors);

    internal bool IsReadOnly => _port.IsReadOnly;

    internal string Description => _port.Description;

    /// <inheritdoc cref="PortDriver.IsMemoryResident"/>
    internal bool IsMemoryResident => _port.IsMemoryResident;

    /// <inheritdoc cref="PortDriver.NeverBlocks"/>
    internal bool NeverBlocks => _port.NeverBlocks;

    /// <inheritdoc cref="PortDriver.CanAbandon"/>
    internal bool CanAbandon => _port.CanAbandon;

    internal DiskTopology Topology => _port.Topology;

    /// <inheritdoc cref="PortDriver.DiscardIsDeterministic"/>
    internal bool DiscardIsDeterministic => _port.DiscardIsDeterministic;

    /// <summary>
    /// Re-reads the device's size. Requests past a new end fail; a device of 0 bytes keeps its old capacity. One thread at a
    /// time, concurrent with requests.
    /// </summary>
    /// <returns>Whether the capacity changed.</returns>
    internal bool Refresh()
    {
        try
        {
            _port.Refresh();
        }
        catch (Exception e)
        {
            Failed(e);
            return false;
        }
        var now = CountSectors();
        if (now == 0) return false;
        var before = (ulong)Interlocked.Exchange(ref _sectors, now);
        if (before != (ulong)now) _log.DiskResized(Description, before, (ulong)now);
        return before != (ulong)now;
    }

    /// <summary>Reads into the list, which must be a multiple of 512 bytes long.</summary>
    /// <param name="sector">The first sector.</param>
    /// <param name="target">The buffers.</param>
    /// <param name="next">The first sector of the expected next read, to prefetch it: a hint.</param>
    internal DiskStatus Read(ulong sector, IoVectors target, ulong next = NoSector)
    {
        if (!IsOnDisk(sector, (ulong)target.TotalBytes / SectorBytes)) return DiskStatus.OutOfRange;
        try
        {
            _port.Read(target, (long)sector * SectorBytes, next < SectorCount ? (long)next * SectorBytes : -1);
            return DiskStatus.Ok;
        }
        catch (Exception e)
        {
            return Failed(e);
        }
    }

    /// <summary>Writes the list, which must be a multiple of 512 bytes long.</summary>
    /// <param name="sector">The first sector.</param>
    /// <param name="source">The buffers.</param>
    /// <param name="stop">Cancels a wait for free space on a full disk.</param>
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
        catch (Exception e)
        {
            return Failed(e);
        }
    }

    /// <summary>A queue of concurrent requests for one thread, or null where concurrency gains nothing.</summary>
    internal CheckedIoQueue? TryOpenQueue(int depth, GuestMemory memory) => _port.TryOpenQueue(depth, memory) is { } port ? new CheckedIoQueue(this, port) : null;

    /// <summary>The right to use the device, which processes pass on.</summary>
    /// <param name="isBusy">As of <see cref="DiskLease"/>.</param>
    internal DiskLease OpenLease(Func<bool> isBusy) => new(_port, FlushForRelease, isBusy, _log);

    internal DiskStatus Flush()
    {
        try
        {
            _port.Flush();
            return DiskStatus.Ok;
        }
        catch (Exception e)
        {
            // The kernel may drop dirty pages when fsync fails, and let the next one succeed (fsync(2)).
            Interlocked.Increment(ref _failedFlushes);
            return Failed(e);
        }
    }

    /// <summary>How often writes that had completed may have been lost: a front end whose driver has written before such a loss must not be told that they are durable.</summary>
    internal long WriteLosses => Ordered.Load(ref _failedFlushes) + _port.WriteLosses;

    /// <exception cref="IOException">Not every write is durable, or one may have been lost before.</exception>
    private void FlushForRelease()
    {
        if (WriteLosses > 0) throw new IOException("writes that had completed may have been lost");
        _port.Flush();
    }

    /// <inheritdoc cref="PortDriver.Abort"/>
    internal void Abort() => _port.Abort();

    /// <summary>Logs that a flush fails because of an earlier loss.</summary>
    internal DiskStatus RefuseFlush()
    {
        _errors.Failed("writes that had completed may have been lost, so flushes fail until the guest's driver resets its device");
        return DiskStatus.IoError;
    }

    /// <summary>Discards a range. A hint: a device that cannot discard keeps the data and returns Ok.</summary>
    internal DiskStatus Discard(ulong sector, ulong sectors)
    {
        if (IsReadOnly) return DiskStatus.ReadOnly;
        if (!IsOnDisk(sector, sectors)) return DiskStatus.OutOfRange;
        if (sectors == 0) return DiskStatus.Ok;
        try
        {
            _ = _port.TryDiscard((long)sector * SectorBytes, (long)sectors * SectorBytes);
            return DiskStatus.Ok;
        }
        catch (Exception e)
        {
            return Failed(e);
        }
    }

    /// <summary>Makes a range read as zeros.</summary>
    /// <param name="sector">The first sector.</param>
    /// <param name="sectors">The number of sectors.</param>
    /// <param name="mayUnmap">Whether the range may be deallocated.</param>
    /// <param name="stop">Cancels a wait for free space on a full disk.</param>
    internal DiskStatus WriteZeroes(ulong sector, ulong sectors, bool mayUnmap, SharedFlag stop)
    {
        if (IsReadOnly) return DiskStatus.ReadOnly;
        if (!IsOnDisk(sector, sectors)) return DiskStatus.OutOfRange;
        long offset = (long)sector * SectorBytes, bytes = (long)sectors * SectorBytes;
        if (bytes == 0) return DiskStatus.Ok;
        try
        {
            if (mayUnmap && _port.TryUnmap(offset, bytes)) return DiskStatus.Ok;
            _port.WriteZeroes(offset, bytes);
            return DiskStatus.Ok;
        }
        catch (IOException e) when (_room is not null && DiskFile.IsFull(e))
        {
            return RetryZeroes(e, _room, offset, bytes, stop);
        }
        catch (Exception e)
        {
            return Failed(e);
        }
    }

    public void Dispose()
    {
        _errors.Dispose();
        if (!_leaveOpen) _port.Dispose();
    }

    private long CountSectors() => (_port.Bytes + SectorBytes - 1) / SectorBytes;

    internal bool IsOnDisk(ulong sector, ulong sectors)
    {
        // Loaded once: Refresh may change it.
        var count = SectorCount;
        return sectors <= count && sector <= count - sectors;
    }

    // Separate methods, so that only a retry allocates the closure.
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
            catch (Exception e) when (e is not IOException failure || !DiskFile.IsFull(failure))
            {
                status = Failed(e);
            }
            catch (IOException)
            {
                // Still full.
            }
        }
        room.End(isWritten: status == DiskStatus.Ok);
        return status;
    }

    /// <summary>Logs a failure of the device, whatever it threw: its request fails, and nothing else does.</summary>
    /// <returns>The status that its request completes with.</returns>
    internal DiskStatus Failed(Exception e)
    {
        if (e is BlockException { Status: BlockStatus.Unsupported }) return DiskStatus.Unsupported;
        // The disk did not fail: the guest's memory was truncated, or taken from an abandoned request.
        if (e is IOException failure && DiskFile.IsMemoryFault(failure)) return DiskStatus.IoError;
        _errors.Failed(e.Message);
        return DiskStatus.IoError;
    }
}
