namespace VmShunt.BlockBackend.Transition;

/// <summary>The rings of a session, as the transition commands them. Any thread; it must not call the transition meanwhile.</summary>
internal interface IRingPath
{
    /// <summary>The order that they follow.</summary>
    RingGate Gate { get; }

    /// <summary>The requests so far.</summary>
    long Requests { get; }

    /// <summary>Notes how far each ring is published.</summary>
    void Mark();

    /// <summary>Whether a chain was published after the mark.</summary>
    bool HasPublished();

    /// <summary>Makes each ring take a step.</summary>
    void Wake();

    /// <summary>Whether each ring follows an order of <see cref="RingOrder.Refuse"/>, its outstanding requests complete.</summary>
    bool IsQuiet(int word);
}
