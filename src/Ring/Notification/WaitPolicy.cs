namespace VmShunt.Ring.Notification;

/// <summary>How one side of a ring waits for the other.</summary>
public enum WaitPolicy
{
    /// <summary>Spin for a while, then enable notifications and block: low latency under load, no CPU time when idle.</summary>
    Adaptive,

    /// <summary>Spin without end: the lowest latency, at the cost of a core.</summary>
    Busy,

    /// <summary>Block at once.</summary>
    Never,
}
