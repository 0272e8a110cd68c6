namespace VmShunt.Ring.Memory;

/// <summary>
/// A flag that one thread raises and others poll. Raising it has release order and reading it acquire order: a thread that
/// sees the flag raised sees everything that was written before. A read is a plain load on x86-64.
/// </summary>
public sealed class SharedFlag
{
    private bool _raised;

    /// <summary>Whether it is raised.</summary>
    public bool IsRaised => Ordered.Load(ref _raised);

    /// <summary>Raises the flag.</summary>
    public void Raise() => Ordered.Store(ref _raised, true);

    /// <summary>Lowers the flag.</summary>
    public void Lower() => Ordered.Store(ref _raised, false);
}
