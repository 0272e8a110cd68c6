namespace VmShunt.Guest.Mode;

/// <summary>The states of mode control: the mode that requests see, and the mode that is wanted.</summary>
internal enum ModeState
{
    /// <summary>Emulating mode, and no other is wanted.</summary>
    Emulating,

    /// <summary>Emulating mode, until the bus is offered for the enlightened mode.</summary>
    AwaitingEnlightened,

    /// <summary>Emulating mode, until the bus is offered for the alternate mode.</summary>
    AwaitingAlternate,

    /// <summary>Enlightened mode, or entering it.</summary>
    Enlightened,

    /// <summary>Alternate mode, or entering it.</summary>
    Alternate,

    /// <summary>The channel of the enlightened mode is lost and not yet closed; requests take the trap path.</summary>
    EnlightenedLost,

    /// <summary>The channel of the alternate mode is lost and not yet closed; requests take the trap path.</summary>
    AlternateLost,

    /// <summary>The guest shuts down.</summary>
    Ended,
}

/// <summary>The events of mode control.</summary>
internal enum ModeEvent
{
    /// <summary>A command: enter the emulating mode.</summary>
    ChangeToEmulating,

    /// <summary>A command: enter the enlightened mode now, or fail.</summary>
    ChangeToEnlightened,

    /// <summary>A command: enter the alternate mode now, or fail.</summary>
    ChangeToAlternate,

    /// <summary>The emulating mode is wanted.</summary>
    WantEmulating,

    /// <summary>The enlightened mode is wanted, as soon as the bus is offered.</summary>
    WantEnlightened,

    /// <summary>The alternate mode is wanted, as soon as the bus is offered.</summary>
    WantAlternate,

    /// <summary>The channel failed. A rescind of the hypervisor is one too: it shuts the channel down.</summary>
    BusLost,

    /// <summary>The bus watch runs: a lost channel can be closed.</summary>
    Settle,

    /// <summary>The hypervisor offers the bus.</summary>
    Offer,

    /// <summary>The hypervisor does not offer the bus, or has rescinded its offer.</summary>
    NoOffer,

    /// <summary>The shunt is exchanged. The mode is entered again, so that VM-H can check the policy.</summary>
    Configure,

    /// <summary>The guest shuts down.</summary>
    End,
}

/// <summary>What mode control does at an event.</summary>
[Flags]
internal enum ModeAction
{
    /// <summary>Nothing.</summary>
    None = 0,

    /// <summary>Stops diverting; the channel stays open, because its own thread reports the loss.</summary>
    PassDown = 1,

    /// <summary>Stops diverting and closes the channel.</summary>
    Leave = 2,

    /// <summary>Opens a channel and diverts to it.</summary>
    Enter = 4,
}

/// <summary>One cell of <see cref="ModeTable"/>.</summary>
/// <param name="Action">What to do, in the order of the bits.</param>
/// <param name="Next">The state from then on.</param>
/// <param name="IfNotEntered">The state instead when <see cref="ModeAction.Enter"/> fails: the bus does not open, or VM-H does not agree (mismatch).</param>
internal readonly record struct ModeTransition(ModeAction Action, ModeState Next, ModeState IfNotEntered);
