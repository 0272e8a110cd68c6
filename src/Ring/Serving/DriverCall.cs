using VmShunt.Ring.Interop;

namespace VmShunt.Ring.Serving;

/// <summary>
/// The notifications of a ring's driver, counted: a driver that asks for them sleeps while it waits. One thread at a time.
/// </summary>
/// <param name="call">The driver's eventfd; null when the driver polls.</param>
public sealed class DriverCall(EventFd? call)
{
    /// <summary>How many there were.</summary>
    public long Notifications { get; private set; }

    /// <summary>Notifies the driver, where the publication of used chains says that it asks for it.</summary>
    public void Signal()
    {
        if (call is null) return;
        Notifications++;
        call.Signal();
    }
}
