namespace VmShunt.Guest.Shunt;

/// <summary>Counts the requests of a disk's shunts; an exchange of the shunt does not reset it. Any thread.</summary>
internal sealed class ShuntCounters
{
    private long _diverted, _passed;

    /// <summary>Requests diverted so far.</summary>
    internal long Diverted => Interlocked.Read(ref _diverted);

    /// <summary>Requests passed down so far.</summary>
    internal long Passed => Interlocked.Read(ref _passed);

    internal void NoteDiverted() => Interlocked.Increment(ref _diverted);

    internal void NotePassed() => Interlocked.Increment(ref _passed);
}
