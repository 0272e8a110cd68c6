using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;
using VmShunt.Ring.Virtqueue;

namespace VmShunt.Ring.VhostUser;

/// <summary>
/// A device behind a vhost-user socket. The back-end implements the protocol and owns memory and descriptors; the device
/// defines features and configuration space and serves the rings. The session's thread makes all calls.
/// </summary>
public interface IVhostUserDevice
{
    /// <summary>The offered virtio features, without VHOST_USER_F_PROTOCOL_FEATURES.</summary>
    ulong Features { get; }

    /// <summary>The driver has set a subset of the offered features; it may do so again.</summary>
    void FeaturesChosen(ulong features);

    /// <summary>The number of rings.</summary>
    int QueueCount { get; }

    /// <summary>The most entries of a ring.</summary>
    int MaxQueueSize { get; }

    /// <summary>What a user changes to raise <see cref="MaxQueueSize"/>, for messages.</summary>
    string MaxQueueSizeSetting => "the device's largest queue size";

    /// <summary>Protocol features that the back-end has and does not offer for this device.</summary>
    VhostUserProtocolFeatures Withheld => VhostUserProtocolFeatures.None;

    /// <summary>
    /// Whether a guest can migrate: its rings are served by <see cref="VringSetup.CreateLogged"/> where
    /// <see cref="VringSetup.IsLogged"/>, and the device writes to the guest's memory through them only.
    /// </summary>
    bool IsMigratable => false;

    /// <summary>Reads from the configuration space.</summary>
    /// <returns>False when the range is not inside it.</returns>
    bool TryReadConfig(int offset, Span<byte> target);

    /// <summary>Writes to the configuration space for the driver.</summary>
    /// <returns>False when the range is not writable.</returns>
    bool TryWriteConfig(int offset, ReadOnlySpan<byte> source);

    /// <summary>The driver or the front-end reset the device; every ring is stopped. It may be set up again.</summary>
    void Reset()
    {
    }

    /// <summary>
    /// The front-end sent RESET_DEVICE: the driver, or the machine, reset the device. Follows <see cref="Reset"/>, which a front-end
    /// also causes where it only stops the device.
    /// </summary>
    void DriverReset()
    {
    }

    /// <summary>The front-end chose protocol features.</summary>
    void ProtocolFeaturesChosen(VhostUserProtocolFeatures features)
    {
    }

    /// <summary>The device status has DRIVER_OK from now on; the rings start afterwards. Without STATUS it is never called.</summary>
    /// <param name="bringsRecord">Whether the front-end brought the record of chains in flight of an earlier session.</param>
    void DriverReady(bool bringsRecord)
    {
    }

    /// <summary>
    /// The front-end has stopped every ring while its guest migrates: another process may serve the guest from now on, until a
    /// ring is started here again.
    /// </summary>
    void PassOn()
    {
    }

    /// <summary>Starts to serve a ring on another thread. The set-up is checked, and stays valid until the ring is stopped.</summary>
    IRunningVring Start(VringSetup setup);
}

/// <summary>A ring that the device serves.</summary>
public interface IRunningVring
{
    /// <summary>
    /// Completes and returns all popped chains, then stops. Afterwards this ring does not access the guest's memory, unless it
    /// <see cref="HasInflight"/>: then the device may, until it has finished the chains, or the memory is taken away.
    /// </summary>
    /// <returns>The position of the next chain, in the form of GET_VRING_BASE.</returns>
    uint Stop();

    /// <summary>Whether the ring stopped with chains in flight, which stay in the record for the next start.</summary>
    bool HasInflight => false;
}

/// <summary>The set-up of a ring.</summary>
/// <param name="Index">The ring's index.</param>
/// <param name="Size">Entries; valid for the ring's layout.</param>
/// <param name="Position">The position of the first chain, in the form of SET_VRING_BASE.</param>
/// <param name="Features">The negotiated virtio features.</param>
/// <param name="Memory">The guest's memory; alive until the ring is stopped.</param>
/// <param name="Descriptors">The descriptor area.</param>
/// <param name="Driver">The driver area: available ring, or the packed ring's event suppression.</param>
/// <param name="Device">The device area: used ring, or the packed ring's event suppression.</param>
/// <param name="Kick">The driver's eventfd; null when the device must poll.</param>
/// <param name="Call">The device's eventfd; null when the driver polls.</param>
/// <param name="Error">The eventfd to signal when the ring breaks, or null.</param>
/// <param name="Inflight">Memory for the record of chains in flight, or an empty window.</param>
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
    MemoryWindow Inflight)
{
    private const int MaxSearches = 100;

    // Virtio 1.3 §6.
    private const ulong IndirectDescriptors = 1UL << 28, EventIndex = 1UL << 29, PackedRing = 1UL << 34;

    /// <summary>Whether the ring is packed (virtio 1.3 §2.8); otherwise it is split (§2.7).</summary>
    public bool IsPacked => (Features & PackedRing) != 0;

    /// <summary>Whether the guest migrates, and what the device writes to its memory must be logged: use <see cref="CreateLogged"/>.</summary>
    public bool IsLogged => Log is not null;

    internal RingLog? Log { get; init; }

    /// <summary>
    /// Whether a stop may leave chains in the record of chains in flight: the front-end passes it to the back-end that serves the
    /// ring next, at the destination of a migration, too.
    /// </summary>
    public bool MayLeaveInflight => Inflight.Length > 0 && (!IsLogged || IsInflightMigrated);

    internal bool IsInflightMigrated { get; init; }

    /// <summary>Creates the device's side of the ring, which is logged if it must be. Where dispatch does not matter.</summary>
    internal IDeviceQueue CreateQueue() =>
        IsPacked
            ? IsLogged ? CreateLogged(CreatePackedQueue()) : CreatePackedQueue()
            : IsLogged ? CreateLogged(CreateSplitQueue()) : CreateSplitQueue();

    /// <summary>Makes a queue of this ring log what the device writes.</summary>
    /// <param name="queue">A new queue of this ring; not used any more.</param>
    /// <exception cref="InvalidOperationException">Nothing is to be logged.</exception>
    public LoggedQueue<TQueue> CreateLogged<TQueue>(TQueue queue) where TQueue : struct, IDeviceQueue =>
        new(queue, Log ?? throw new InvalidOperationException("the ring is not logged"));

    /// <summary>Creates the device's side of a split ring.</summary>
    public SplitDeviceQueue CreateSplitQueue() =>
        new(Memory, new SplitAreas(Descriptors, Driver, Device), Size, (ushort)Position, Has(IndirectDescriptors), Has(EventIndex), Inflight);

    /// <summary>Creates the device's side of a packed ring.</summary>
    public PackedDeviceQueue CreatePackedQueue() =>
        new(Memory, new PackedAreas(Descriptors, Driver, Device), Size, Position, Has(IndirectDescriptors), Has(EventIndex), Inflight);

    /// <summary>
    /// The position after the last chain that the driver has published. Any thread, while the ring is not stopped.
    /// </summary>
    /// <param name="position">Reads <see cref="IDeviceQueue.Position"/>, from which chains are searched.</param>
    public uint FindPublished(Func<uint> position)
    {
        ArgumentNullException.ThrowIfNull(position);
        if (!IsPacked) return Driver.ReadUInt16Acquire(SplitLayout.Index);
        // The ring's thread may take chains meanwhile, whose entries the device then changes.
        uint start, end;
        var tries = 0;
        do
        {
            start = position();
            end = FindEnd(new PackedPosition(Size, (ushort)start));
        }
        while (position() != start && ++tries < MaxSearches);
        return end;
    }

    /// <summary>Whether a ring has popped a chain that was published after a mark.</summary>
    /// <param name="position"><see cref="IDeviceQueue.Position"/>, or another result of <see cref="FindPublished"/>.</param>
    /// <param name="mark">A result of <see cref="FindPublished"/>.</param>
    public bool IsBeyond(uint position, uint mark)
    {
        if (!IsPacked) return (short)(ushort)(position - mark) > 0;
        var ahead = (Lap(position) - Lap(mark) + 2 * Size) % (2 * Size);
        return ahead > 0 && ahead < Size;
    }

    private int Lap(uint position)
    {
        var at = new PackedPosition(Size, (ushort)position);
        return at.Index + (at.Wrap ? 0 : Size);
    }

    private uint FindEnd(PackedPosition at)
    {
        for (var slots = 0; slots < Size && at.IsAvailable((DescriptorFlags)Descriptors.ReadUInt16Acquire(at.Offset + PackedLayout.Flags)); slots++) at.Advance(1);
        return at.Word;
    }

    private bool Has(ulong feature) => (Features & feature) != 0;
}
