using VmShunt.Ring.Notification;

namespace VmShunt.Ring.Serving;

/// <summary>The options of a <see cref="VhostUserServer"/>.</summary>
public sealed class VhostUserServerOptions
{
    /// <summary>How the queues' threads wait for their drivers.</summary>
    public WaitPolicy Wait { get; init; } = WaitPolicy.Adaptive;
}
