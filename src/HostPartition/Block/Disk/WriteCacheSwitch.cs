using VmShunt.Ring.Memory;

namespace VmShunt.BlockBackend.Disk;

/// <summary>
/// A front end's switch of the disk's write cache, and its flushes. Once writes of its driver may have been lost, its flushes
/// fail until the driver resets the device, which makes it read again what is on the disk. Flushes: any thread; all other
/// calls: one thread at a time. Disposal turns the cache on.
/// </summary>
internal sealed class WriteCacheSwitch(WriteCache cache, HostClassDriver disk) : IDisposable
{
    private long _forgivenLosses = disk.WriteLosses;
    private bool _isOff;

    /// <summary>Whether the disk has a write cache.</summary>
    internal bool Exists => cache.Exists;

    /// <summary>Whether the write cache is on for this front end: its writes need a flush to be durable.</summary>
    internal bool IsOn => cache.Exists && !_isOff;

    /// <summary>Turns the cache on or off. A driver flushes no more once it is off, so turning it off flushes.</summary>
    /// <returns>Ok, or the error; the switch is unchanged then.</returns>
    internal DiskStatus Turn(bool on)
    {
        if (on == IsOn) return DiskStatus.Ok;
        if (!cache.Exists) return DiskStatus.Unsupported;
        Set(off: !on);
        if (on) return DiskStatus.Ok;
        var status = Flush();
        if (status != DiskStatus.Ok) Set(off: false);
        return status;
    }

    /// <summary>Turns the cache off without a flush, for a driver that has written nothing yet.</summary>
    internal void TurnOff() => Set(off: true);

    /// <summary>Returns when every completed write of both paths is durable.</summary>
    internal DiskStatus Flush()
    {
        var status = disk.Flush();
        return status == DiskStatus.Ok && disk.WriteLosses != Ordered.Load(ref _forgivenLosses) ? disk.RefuseFlush() : status;
    }

    /// <summary>Turns the cache on, as at first.</summary>
    internal void TurnOn() => Set(off: false);

    /// <summary>The driver has reset the device: the cache is on, and what was lost before is the old driver's.</summary>
    internal void Reset()
    {
        Ordered.Store(ref _forgivenLosses, disk.WriteLosses);
        TurnOn();
    }

    public void Dispose() => Set(off: false);

    private void Set(bool off)
    {
        if (off == _isOff) return;
        _isOff = off;
        cache.Count(off);
    }
}
