using VmShunt.Ring.Memory;

namespace VmShunt.Guest.Emulating;

/// <summary>
/// Whether queries find an emulated disk. While the shunt diverts to an enlightened stack it hides the disk below it. A
/// query loads one reference, so it finds all of the disk or nothing. Any thread.
/// </summary>
internal sealed class DiskVisibility
{
    /// <summary>What queries find between two changes.</summary>
    /// <param name="IsShunted">The disk is available in an enlightened stack.</param>
    /// <param name="IsHidden">Queries do not find the emulated disk.</param>
    /// <param name="Generation">Counts how often the disk was hidden or shown.</param>
    internal sealed record View(bool IsShunted, bool IsHidden, int Generation);

    private readonly Lock _lock = new();
    private View _now = new(IsShunted: false, IsHidden: false, 0);
    private bool _isSuppressing = true;
    private long _suppressed;

    /// <summary>What queries find now.</summary>
    internal View Now => Ordered.Load(ref _now);

    /// <summary>Queries that were answered as if the disk did not exist.</summary>
    internal long Suppressed => Interlocked.Read(ref _suppressed);

    /// <summary>Sets whether the shunt hides the disk at all.</summary>
    internal void Suppress(bool isSuppressing)
    {
        lock (_lock)
        {
            _isSuppressing = isSuppressing;
            Update(_now.IsShunted);
        }
    }

    /// <summary>Sets whether the disk is available in an enlightened stack.</summary>
    internal void NoteShunted(bool isShunted)
    {
        lock (_lock) Update(isShunted);
    }

    internal void NoteSuppressed() => Interlocked.Increment(ref _suppressed);

    private void Update(bool isShunted)
    {
        var isHidden = _isSuppressing && isShunted;
        var next = new View(isShunted, isHidden, _now.Generation + (isHidden != _now.IsHidden ? 1 : 0));
        if (next != _now) Ordered.Store(ref _now, next);
    }
}
