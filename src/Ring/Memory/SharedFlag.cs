namespace VmShunt.Ring.Memory;

/// <summary>A flag that one thread raises and others look at in their loops; looking costs a plain load.</summary>
public sealed class SharedFlag
{
    private volatile bool _raised;

    /// <summary>Whether it is raised.</summary>
    public bool IsRaised => _raised;

    /// <summary>Raises it; what was written before is seen by whoever sees the flag.</summary>
    public void Raise() => _raised = true;

    /// <summary>Takes it down again.</summary>
    public void Lower() => _raised = false;
}
