namespace VmShunt.Ring.Serving;

/// <summary>
/// A virtio device of one vhost-user session, to derive from. <see cref="VhostUserServer"/> creates one for each session,
/// serves its rings, split or packed, and recovers chains in flight.
/// </summary>
/// <remarks>
/// Each queue has a thread of its own, which calls <see cref="Serve"/>: a device of several queues locks what they share. The
/// session's thread makes all other calls. An exception fails the requests that were taken in that call, or closes the
/// session, and is reported by <see cref="VhostUserServer.Reported"/>; it never reaches another session.
/// </remarks>
public abstract class VirtioDevice
{
    private QueueWake[] _wakes = [];
    private bool _isClaimed;
    private VirtioEndpoint? _endpoint;

    /// <summary>The device's type.</summary>
    public abstract VirtioDeviceType Type { get; }

    /// <summary>The number of queues, 1 to 256. Read once per session.</summary>
    public virtual int QueueCount => 1;

    /// <summary>The most entries of a queue: a power of two up to 32768. Read once per session.</summary>
    public virtual int QueueSize => 256;

    /// <summary>
    /// The features of the device's type (bits 0 to 23 and 50 to 63) that are offered. Those of the transport are the server's:
    /// VERSION_1, INDIRECT_DESC, EVENT_IDX and RING_PACKED. Read once per session.
    /// </summary>
    public virtual ulong Features => 0;

    /// <summary>The size of the configuration space, 0 to 256 bytes. Read once per session.</summary>
    public virtual int ConfigLength => 0;

    /// <summary>
    /// Whether a guest can migrate to another host: the device at its destination needs nothing that this one keeps. What the
    /// device writes into its chains is logged while the guest migrates. Read once per session.
    /// </summary>
    public virtual bool IsMigratable => false;

    /// <summary>
    /// Serves a queue: takes the available chains and returns them. Called when chains are available, and after
    /// <see cref="Wake"/>. A chain that is not taken stays available, and the queue sleeps until the device wakes it.
    /// </summary>
    /// <param name="queue">The queue and its chains: used in this call only, except that a chain may be kept and returned in a later call.</param>
    public abstract void Serve(Virtqueue queue);

    /// <summary>Fills the configuration space as it is now.</summary>
    /// <param name="config"><see cref="ConfigLength"/> bytes, all 0.</param>
    public virtual void ReadConfig(Span<byte> config)
    {
    }

    /// <summary>Writes to the configuration space for the driver.</summary>
    /// <param name="offset">The first byte.</param>
    /// <param name="source">The bytes; their range is inside the space.</param>
    /// <returns>False when the range is not writable.</returns>
    public virtual bool TryWriteConfig(int offset, ReadOnlySpan<byte> source) => false;

    /// <summary>The session has opened. No queue is served yet.</summary>
    protected internal virtual void OnConnected()
    {
    }

    /// <summary>The driver accepted a subset of the offered features; it may do so again.</summary>
    /// <param name="features">Its own features and the transport's.</param>
    protected internal virtual void OnNegotiated(ulong features)
    {
    }

    /// <summary>The driver reset the device. No queue is served; all may be set up again.</summary>
    protected internal virtual void OnReset()
    {
    }

    /// <summary>The session has closed. No call follows.</summary>
    protected internal virtual void OnDisconnected()
    {
    }

    /// <summary>
    /// Has <see cref="Serve"/> called for a queue, because the device has something for it, such as data that arrived. Any
    /// thread, at any time; the call is kept while the queue is not set up. Never blocks.
    /// </summary>
    /// <param name="queue">The queue's index.</param>
    protected void Wake(int queue)
    {
        var wakes = _wakes;
        // A device without a session has nothing to serve.
        if (wakes.Length == 0) return;
        ArgumentOutOfRangeException.ThrowIfNegative(queue);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(queue, wakes.Length);
        wakes[queue].Raise();
    }

    /// <summary>Notifies the driver that the configuration space has changed. Any thread, during the session; never blocks.</summary>
    protected void NotifyConfigChanged() => _endpoint?.NotifyConfigChanged();

    /// <summary>Makes the device that of the caller's session.</summary>
    /// <exception cref="InvalidOperationException">It is, or was, that of another session.</exception>
    internal void Claim()
    {
        if (Interlocked.Exchange(ref _isClaimed, true))
            throw new InvalidOperationException($"the {GetType().Name} was created for another session: create a new device for each");
    }

    internal void Attach(VirtioEndpoint endpoint, QueueWake[] wakes) => (_endpoint, _wakes) = (endpoint, wakes);
}
