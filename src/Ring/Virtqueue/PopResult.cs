namespace VmShunt.Ring.Virtqueue;

/// <summary>What looking into a ring found. An empty ring is no error; a broken one stays broken until it is set up anew.</summary>
public enum PopResult
{
    /// <summary>Nothing new.</summary>
    Empty,

    /// <summary>One entry was taken.</summary>
    Taken,

    /// <summary>The peer has written something that no correct peer writes. Nothing more will be taken.</summary>
    Broken,
}
