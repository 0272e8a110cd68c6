namespace VmShunt.Ring.Serving;

/// <summary>Something that a <see cref="VhostUserServer"/> did, or that failed. Its text is one line for a log.</summary>
/// <param name="kind">Its kind.</param>
/// <param name="session">The session's number, from 1; 0 where there is no session.</param>
/// <param name="message">One line without the session.</param>
public sealed class ServerReport(ServerReportKind kind, int session, string message)
{
    /// <summary>Its kind.</summary>
    public ServerReportKind Kind { get; } = kind;

    /// <summary>The session's number, from 1 in the order of connections; 0 where there is no session.</summary>
    public int Session { get; } = session;

    /// <summary>One line without the session.</summary>
    public string Message { get; } = message;

    /// <summary>One line.</summary>
    public override string ToString() => Session == 0 ? Message : $"session {Session}: {Message}";
}

/// <summary>What a <see cref="ServerReport"/> is about.</summary>
public enum ServerReportKind
{
    /// <summary>A front-end has connected.</summary>
    SessionOpened,

    /// <summary>A session has closed: its rings are stopped, its memory is unmapped.</summary>
    SessionClosed,

    /// <summary>A connection was closed at once: too many are open, or there is no device for it.</summary>
    SessionRefused,

    /// <summary>A message of the front-end was refused.</summary>
    MessageRefused,

    /// <summary>A queue is broken, by its driver or because serving it failed; it works again when it is set up again.</summary>
    QueueBroken,

    /// <summary>A request failed, because the device threw or an address was invalid; or another call to the device threw.</summary>
    Failure,
}
