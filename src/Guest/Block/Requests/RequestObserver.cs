namespace VmShunt.BlockDriver.Requests;

/// <summary>A point that a request passes in a driver.</summary>
public enum DriverHop : byte
{
    /// <summary>A port driver received it.</summary>
    Received,

    /// <summary>It is described in memory: in a descriptor chain.</summary>
    Described,

    /// <summary>It is visible to the device: the ring was published and kicked if needed.</summary>
    Issued,

    /// <summary>The driver saw its completion: a used element.</summary>
    Noticed,

    /// <summary>Its driver rejected it, and it takes its fallback.</summary>
    Rejected,
}

/// <summary>Notified of the hops of one request, for a trace. A request without an observer costs a check for null at each.</summary>
public abstract class RequestObserver
{
    /// <summary>Links the observers of requests that are in the ring and not yet published.</summary>
    internal RequestObserver? Next { get; set; }

    /// <summary>The request passes a point. Called on the thread that has the request; must not block or throw.</summary>
    /// <param name="hop">The point.</param>
    public abstract void Pass(DriverHop hop);
}
