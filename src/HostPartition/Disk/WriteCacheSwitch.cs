namespace VmShunt.HostPartition.Disk;

/// <summary>One front end's switch of the disk's write cache. Used by one thread at a time; when disposed it wants nothing.</summary>
internal sealed class WriteCacheSwitch(WriteCache cache, HostClassDriver disk) : IDisposable
{
    private bool _isOff;

    /// <summary>Whether there is a write cache to switch.</summary>
    internal bool Exists => cache.Exists;

    /// <summary>Whether this front end's writes need a flush to be durable.</summary>
    internal bool IsOn => cache.Exists && !_isOff;

    /// <summary>Turns it. Who turns it off flushes no more, so what was written before becomes durable now.</summary>
    /// <returns>Whether that could be done; the switch is as it was otherwise.</returns>
    internal DiskStatus Turn(bool on)
    {
        if (on == IsOn) return DiskStatus.Ok;
        if (!cache.Exists) return DiskStatus.Unsupported;
        Set(off: !on);
        if (on) return DiskStatus.Ok;
        var status = disk.Flush();
        if (status != DiskStatus.Ok) Set(off: false);
        return status;
    }

    /// <summary>Turns it off for a driver that has written nothing yet.</summary>
    internal void TurnOff() => Set(off: true);

    /// <summary>As it was at first.</summary>
    internal void Reset() => Set(off: false);

    public void Dispose() => Set(off: false);

    private void Set(bool off)
    {
        if (off == _isOff) return;
        _isOff = off;
        cache.Count(off);
    }
}
