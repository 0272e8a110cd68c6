namespace VmShunt.Guest.Emulating;

/// <summary>
/// Whether queries may discover an emulated disk. The shunt's other function: while it diverts to an enlightened stack,
/// nobody is to find what is below it. A query reads one reference, so it sees all of the disk or nothing of it. Any thread.
/// </summary>
internal sealed class DiskVisibility
{
    /// <summary>What queries see, from one change to the next.</summary>
    /// <param name="IsShunted">The disk is there in an enlightened stack.</param>
    /// <param name="IsHidden">The emulated disk is not to be found.</param>
    /// <param name="Generation">Counts how often it was hidden and shown.</param>
    internal sealed record View(bool IsShunted, bool IsHidden, int Generation);

    private readonly Lock _lock = new();
    private View _now = new(IsShunted: false, IsHidden: false, 0);
    private bool _isSuppressing = true;
    private long _suppressed;

    /// <summary>What queries see now.</summary>
    internal View Now => _now;

    /// <summary>Queries that would have found the disk, or something of it, and did not.</summary>
    internal long Suppressed => Interlocked.Read(ref _suppressed);

    /// <summary>Says whether the shunt hides the disk at all.</summary>
    internal void Suppress(bool isSuppressing)
    {
        lock (_lock)
        {
            _isSuppressing = isSuppressing;
            Follow(_now.IsShunted);
        }
    }

    /// <summary>Says whether the disk can be had in an enlightened stack now, and so need not be found here.</summary>
    internal void NoteShunted(bool isShunted)
    {
        lock (_lock) Follow(isShunted);
    }

    internal void NoteSuppressed() => Interlocked.Increment(ref _suppressed);

    private void Follow(bool isShunted)
    {
        var isHidden = _isSuppressing && isShunted;
        var next = new View(isShunted, isHidden, _now.Generation + (isHidden != _now.IsHidden ? 1 : 0));
        if (next != _now) Interlocked.Exchange(ref _now, next);
    }
}
