using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;

namespace VmShunt.Ring.VhostUser;

/// <summary>
/// A device behind a vhost-user socket. The back-end speaks the protocol and owns memory and descriptors; the device
/// knows features, configuration and how to serve a ring. All calls come from the session's thread.
/// </summary>
public interface IVhostUserDevice
{
    /// <summary>The virtio feature bits offered, without the one that vhost-user adds.</summary>
    ulong Features { get; }

    /// <summary>The driver has chosen its features, of those offered; perhaps again.</summary>
    void FeaturesChosen(ulong features);

    /// <summary>How many rings there may be.</summary>
    int QueueCount { get; }

    /// <summary>The largest ring.</summary>
    int MaxQueueSize { get; }

    /// <summary>Copies configuration space.</summary>
    /// <returns>False when the range is not inside it.</returns>
    bool TryReadConfig(int offset, Span<byte> target);

    /// <summary>Writes configuration space on the driver's behalf.</summary>
    /// <returns>False when the range is not writable.</returns>
    bool TryWriteConfig(int offset, ReadOnlySpan<byte> source);

    /// <summary>Starts to serve a ring on a thread of its own. Everything in the set-up is checked and stays valid until the ring is stopped.</summary>
    IRunningVring Start(VringSetup setup);
}

/// <summary>A ring being served.</summary>
public interface IRunningVring
{
    /// <summary>
    /// Finishes what was taken, returns it, and stops; afterwards nothing touches the guest's memory through this ring.
    /// </summary>
    /// <returns>Where the next entry would be taken (GET_VRING_BASE), in the form of the ring's layout.</returns>
    uint Stop();
}

/// <summary>A ring as the front-end configured it.</summary>
/// <param name="Index">Which ring.</param>
/// <param name="Size">Entries; valid for the ring's layout.</param>
/// <param name="Position">Where to start (SET_VRING_BASE), in the form of the ring's layout.</param>
/// <param name="Features">The negotiated virtio features.</param>
/// <param name="Memory">The guest's memory; alive until the ring is stopped.</param>
/// <param name="Descriptors">The descriptor area.</param>
/// <param name="Driver">The driver area: available ring, or the packed ring's event suppression.</param>
/// <param name="Device">The device area: used ring, or the packed ring's event suppression.</param>
/// <param name="Kick">The driver's eventfd, or null: poll.</param>
/// <param name="Call">The device's eventfd, or null: the driver polls.</param>
/// <param name="Error">Signalled when the ring breaks, or null.</param>
/// <param name="Inflight">Where the ring remembers what is in flight, or an empty window.</param>
public sealed record VringSetup(
    int Index,
    int Size,
    uint Position,
    ulong Features,
    GuestMemory Memory,
    MemoryWindow Descriptors,
    MemoryWindow Driver,
    MemoryWindow Device,
    EventFd? Kick,
    EventFd? Call,
    EventFd? Error,
    MemoryWindow Inflight);
