namespace VmShunt.Ring.Serving;

/// <summary>The result of a step of a <see cref="VringHandler"/>.</summary>
public enum HandlerStep
{
    /// <summary>There was no work.</summary>
    Empty,

    /// <summary>A request was submitted or executed, or requests completed.</summary>
    Worked,

    /// <summary>Completions were published to the driver.</summary>
    Published,

    /// <summary>The ring was stopped while a request waited for free space; the request was requeued in the avail ring.</summary>
    Requeued,

    /// <summary>The next request is long, and this step defers long requests.</summary>
    Deferred,

    /// <summary>The driver broke the ring; it stays unusable until it is set up again.</summary>
    Broken,

    /// <summary>A stop has abandoned the request in progress, and the ring.</summary>
    Abandoned,
}
