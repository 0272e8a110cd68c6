namespace VmShunt.BlockDriver;

/// <summary>The completion status of a request.</summary>
public enum BlockStatus : byte
{
    /// <summary>Success.</summary>
    Ok,

    /// <summary>The device failed or rejected the request. After a write, the content of the range is undefined.</summary>
    IoError,

    /// <summary>The device does not implement the request type.</summary>
    Unsupported,

    /// <summary>Cancelled before a device had it: the request has no effect, now or later.</summary>
    Cancelled,

    /// <summary>The back-end was lost, and the request is not resubmitted. Whether it had an effect is unknown.</summary>
    Disconnected,
}
