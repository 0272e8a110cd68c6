namespace VmShunt.BlockBackend.Transition;

/// <summary>The device of the trap path, as the transition commands it. Any thread; it must not call the transition meanwhile.</summary>
internal interface ITrapPath
{
    /// <summary>What it may do, and did.</summary>
    TrapGate Gate { get; }

    /// <summary>Makes the disk disappear when the commands in flight are complete. Does not block.</summary>
    /// <returns>True when it has gone already; otherwise <see cref="GuestTransition.TrapDiskGone"/> follows.</returns>
    bool Unplug();

    /// <summary>Makes the disk appear.</summary>
    void Plug();
}
