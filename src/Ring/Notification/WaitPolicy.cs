namespace VmShunt.Ring.Notification;

/// <summary>How a side of a ring waits for the other.</summary>
public enum WaitPolicy
{
    /// <summary>Spin a while, then ask for a notification and sleep: near busy under load, near nothing when idle.</summary>
    Adaptive,

    /// <summary>Spin for ever: a core for the lowest latency.</summary>
    Busy,

    /// <summary>Sleep at once.</summary>
    Never,
}
