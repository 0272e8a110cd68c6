namespace VmShunt.BlockBackend.Transition;

/// <summary>What a ring does with the chains that it pops.</summary>
internal enum RingOrder
{
    /// <summary>It serves them.</summary>
    Serve = 0,

    /// <summary>It serves them, and reports the first one that was published after the mark.</summary>
    Watch = 1,

    /// <summary>It pops none for the moment.</summary>
    Hold = 2,

    /// <summary>It serves them, but fails what writes.</summary>
    RefuseWrites = 3,

    /// <summary>It completes the outstanding ones, and fails all others.</summary>
    Refuse = 4,
}
