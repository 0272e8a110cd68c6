namespace VmShunt.Ring.Virtqueue;

/// <summary>The result of a pop. A broken queue stays broken until the ring is set up again.</summary>
public enum PopResult
{
    /// <summary>The ring has no new entry.</summary>
    Empty,

    /// <summary>One entry was popped.</summary>
    Popped,

    /// <summary>The peer has written what no correct peer writes. Nothing more is popped.</summary>
    Broken,
}
