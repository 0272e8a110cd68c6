namespace VmShunt.BlockDriver;

/// <summary>What happens to requests while the back-end is lost. The disk reconnects either way.</summary>
public enum DisconnectPolicy
{
    /// <summary>
    /// Requests wait for the next back-end, and those that were in flight are submitted to it again. A request that the lost
    /// back-end has executed without completing it is then executed twice, which changes nothing unless it is ordered against
    /// another request in flight.
    /// </summary>
    Resubmit,

    /// <summary>Requests fail with <see cref="BlockStatus.Disconnected"/>.</summary>
    Fail,
}
