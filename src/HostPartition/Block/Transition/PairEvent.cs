namespace VmShunt.BlockBackend.Transition;

/// <summary>What changes a <see cref="PairState"/>.</summary>
internal enum PairEvent
{
    /// <summary>The trap path's device was enumerated: new firmware, a new kernel, a crash kernel, or a rescan.</summary>
    Enumeration,

    /// <summary>The ring's driver starts, and only polling users had the trap path's disk.</summary>
    StartAfterPolling,

    /// <summary>The ring's driver starts after an interrupt-driven driver found the disk, and read no more than a probe does.</summary>
    StartAfterProbe,

    /// <summary>The ring's driver starts after an interrupt-driven driver found the disk, and read more.</summary>
    StartAfterUse,

    /// <summary>The ring's driver continues: after a stop of the machine, or on a new session.</summary>
    Continue,

    /// <summary>A chain was published after the enumeration: the ring's driver lives, and the trap path's disk was at most probed.</summary>
    Alive,

    /// <summary>As <see cref="Alive"/>, and an interrupt-driven driver read more than a probe does.</summary>
    AliveAfterUse,

    /// <summary>The ring's device was reset.</summary>
    Reset,

    /// <summary>The ring's session closed.</summary>
    Close,

    /// <summary>No driver has come in time.</summary>
    Timeout,

    /// <summary>The trap path is to write.</summary>
    TrapWrite,

    /// <summary>The trap path's disk has gone: its commands are complete.</summary>
    Unplugged,

    /// <summary>The trap path's device was reset, and has had no command since the disk came back.</summary>
    UnusedReset,

    /// <summary>The guest can have no transition, or no longer.</summary>
    TurnOff,
}
