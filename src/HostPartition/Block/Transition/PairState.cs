namespace VmShunt.BlockBackend.Transition;

/// <summary>Where a guest with both paths to one disk is.</summary>
internal enum PairState
{
    /// <summary>The trap path has the disk; no driver is on the ring, and nothing was written.</summary>
    Emulated,

    /// <summary>As <see cref="Emulated"/>, and the trap path has written: it holds the right to write.</summary>
    Written,

    /// <summary>As <see cref="Emulated"/>: the disk has come back after the ring's driver ended.</summary>
    Returned,

    /// <summary>The ring's driver has started; commands in flight on the trap path complete before its disk goes.</summary>
    Unplugging,

    /// <summary>The ring has the disk.</summary>
    Enlightened,

    /// <summary>The ring's device was reset; a driver is expected soon.</summary>
    Resetting,

    /// <summary>The ring's session is closed without a reset; another is expected soon.</summary>
    Away,

    /// <summary>Both have the disk; the ring holds the right to write.</summary>
    SharedByRing,

    /// <summary>Both have the disk; the trap path holds the right to write.</summary>
    SharedByTrap,

    /// <summary>As <see cref="SharedByRing"/>, after a reset of the ring's device, or the end of its session.</summary>
    SharedLeaving,

    /// <summary>The trap path was enumerated while a driver is on the ring, which may be a dead kernel's.</summary>
    Enumerated,

    /// <summary>The trap path took the right to write from a dead kernel's ring, whose chains fail.</summary>
    Stopped,

    /// <summary>No transition: both have the disk, and both write.</summary>
    Off,
}
