namespace VmShunt.HostPartition.HardwareStack;

/// <summary>One front end's switch of the disk's write cache. Used by one thread at a time; when disposed it wants nothing.</summary>
internal sealed class WriteCacheSwitch : IDisposable
{
    private readonly WriteCache _cache;
    private readonly DiskClassDriver _disk;

    internal WriteCacheSwitch(WriteCache cache, DiskClassDriver disk)
    {
        _cache = cache;
        _disk = disk;
        IsOn = true;
        Set(cache.IsOnAtFirst);
    }

    /// <summary>Whether this front end's writes need a flush to be durable.</summary>
    internal bool IsOn { get; private set; }

    /// <summary>Turns it. Who turns it off flushes no more, so what was written before becomes durable now.</summary>
    /// <returns>Whether that could be done; the switch is as it was otherwise.</returns>
    internal DiskStatus Turn(bool on)
    {
        var was = IsOn;
        Set(on);
        if (on || !was) return DiskStatus.Ok;
        var status = _disk.Flush();
        if (status != DiskStatus.Ok) Set(true);
        return status;
    }

    /// <summary>Turns it off for a driver that has written nothing yet.</summary>
    internal void TurnOff() => Set(false);

    /// <summary>As it was at first.</summary>
    internal void Reset() => Set(_cache.IsOnAtFirst);

    public void Dispose() => Set(true);

    private void Set(bool on)
    {
        if (on == IsOn) return;
        IsOn = on;
        _cache.Count(off: !on);
    }
}
