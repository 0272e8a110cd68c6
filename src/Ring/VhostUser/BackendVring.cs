using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;
using VmShunt.Ring.Virtqueue;

namespace VmShunt.Ring.VhostUser;

/// <summary>
/// One ring of a back-end session: its set-up so far and, once the set-up is complete, the ring that the device serves
/// (vhost-user, "Ring states"). Used by the session's thread.
/// </summary>
internal sealed class BackendVring(int index) : IDisposable
{
    private const ulong PackedRing = 1UL << 34;

    private int _size;
    private VringAddress? _address;
    private bool _hasKick;
    private EventFd? _kick;
    private EventFd? _call;
    private EventFd? _error;
    private IRunningVring? _running;
    private uint? _refusedSize;

    // Where the next start begins; null for the start of the ring's layout.
    private uint? _base;

    // Where the ring stopped last, unless the front-end set another base since.
    private uint? _stoppedAt;

    // This session ran the ring. Before that, only the record of chains in flight may know where a previous back-end stopped.
    private bool _isPositionKnown;

    // Where the ring stopped with chains in flight, which a start at the same position executes again.
    private uint? _inflightAt;

    // Nothing says where the previous back-end stopped. It is reported once.
    private bool _isLost;

    internal bool IsRunning => _running is not null;

    internal bool IsEnabled { get; set; }

    /// <summary>The device may still use the guest's memory for chains of a stopped ring.</summary>
    internal bool UsesOldMemory { get; set; }

    /// <summary>The position at which the ring stopped or is to start (GET_VRING_BASE).</summary>
    internal uint PositionFor(ulong features) => _stoppedAt ?? StartFor(features);

    /// <param name="size">Entries.</param>
    /// <param name="device">Limits the size.</param>
    /// <param name="features">The negotiated features.</param>
    /// <param name="isRepeated">Whether the same size was refused before.</param>
    /// <returns>Null, or why the ring has no size now.</returns>
    internal string? SetSize(uint size, IVhostUserDevice device, ulong features, out bool isRepeated)
    {
        isRepeated = false;
        if (IsRunning) return $"ring {index} is running; its size cannot change";
        var packed = (features & PackedRing) != 0;
        var maximum = device.MaxQueueSize;
        if (size <= maximum && (packed ? PackedLayout.IsValidSize((int)size) : SplitLayout.IsValidSize((int)size)))
        {
            _size = (int)size;
            _refusedSize = null;
            return null;
        }
        isRepeated = _refusedSize == size;
        // A ring of an earlier size must not be served instead.
        (_size, _refusedSize) = (0, size);
        SignalError();
        return size > maximum
            ? $"ring {index} of {size} entries is not served, because at most {maximum} are allowed: raise {device.MaxQueueSizeSetting}, or give the guest's device smaller rings (QEMU: queue-size={maximum})"
            : $"ring {index}: a size of {size} is not valid (1 to {maximum}{(packed ? "" : ", a power of two")})";
    }

    internal string? SetPosition(uint position, ulong features)
    {
        if (IsRunning) return $"ring {index} is running; its base cannot change";
        // A packed ring's base has two halves (vhost-user, "Vring descriptor indices for packed virtqueues").
        if ((features & PackedRing) == 0 && position > ushort.MaxValue) return $"ring {index}: a base of {position} is not valid";
        (_base, _stoppedAt, _isLost) = (position, null, false);
        return null;
    }

    internal string? SetAddress(in VringAddress address)
    {
        if (IsRunning)
        {
            // Dirty logging starts and stops while the ring runs.
            if (_address is not { } current || !(current with { Flags = address.Flags, Log = address.Log }).Equals(address))
                return $"ring {index} is running; its addresses cannot change";
            Pause();
        }
        if (address.Descriptors % 16 != 0 || address.Available % 2 != 0 || address.Used % 4 != 0)
            return $"ring {index}: its addresses are misaligned (virtio 1.3 §2.7)";
        _address = address;
        return null;
    }

    internal void SetKick(EventFd? kick)
    {
        Replace(ref _kick, kick);
        _hasKick = true;
    }

    internal void SetCall(EventFd? call)
    {
        Replace(ref _call, call);
        CallOnce();
    }

    internal void SetError(EventFd? error)
    {
        Replace(ref _error, error);
        if (_refusedSize is not null) SignalError();
    }

    /// <summary>Signals that an enabled ring is not served.</summary>
    internal void SignalError() => _error?.Signal();

    /// <summary>Starts the ring if its set-up is complete and it is not running.</summary>
    /// <returns>Null, or why an enabled ring cannot run.</returns>
    internal string? StartIfReady(IVhostUserDevice device, GuestMemory memory, BackendInflight inflight, BackendLog log, ulong features)
    {
        if (IsRunning || _isLost || !IsEnabled || !_hasKick || _size == 0 || _address is not { } address) return null;
        var packed = (features & PackedRing) != 0;
        var driverBytes = packed ? PackedLayout.EventBytes : SplitLayout.AvailableBytes(_size);
        var deviceBytes = packed ? PackedLayout.EventBytes : SplitLayout.UsedBytes(_size);
        // The features may have changed since the size was set.
        if (!packed && !SplitLayout.IsValidSize(_size)) return $"ring {index}: a split ring of {_size} entries is not valid";
        if (packed && address.Available % 4 != 0) return $"ring {index}: its driver area is misaligned (virtio 1.3 §2.8)";
        if (!memory.TryGetWindowByUserAddress(address.Descriptors, SplitLayout.DescriptorBytes(_size), out var descriptors)
            || !memory.TryGetWindowByUserAddress(address.Available, driverBytes, out var driver)
            || !memory.TryGetWindowByUserAddress(address.Used, deviceBytes, out var used))
        {
            return $"ring {index}: an area is outside the guest's memory";
        }
        if (inflight.Find(index, _size, packed, out var record) is { } fault) return fault;
        var position = StartFor(features);
        if (_isPositionKnown && _inflightAt != position) DropOldRecord(record, packed, position);
        else if (packed && !PackedInflight.IsRecord(record, _size) && new PackedPosition(_size, (ushort)position).IsBehind(descriptors))
        {
            _isLost = true;
            SignalError();
            return $"ring {index} cannot be continued: the front-end sends an old position, and has no record of chains in flight (INFLIGHT_SHMFD), which alone says where the last back-end stopped a packed ring; "
                + "reset the guest's device (reboot the guest), and use a front-end with the record, or split rings";
        }
        if (LogOf(log.Current, address, memory, packed, out var ringLog) is { } unlogged) return unlogged;
        try
        {
            _running = device.Start(new VringSetup(index, _size, position, features, memory, descriptors, driver, used, _kick, _call, _error, record) { Log = ringLog, IsInflightMigrated = log.TakesInflight });
        }
        catch (IOException e)
        {
            // A shortage of threads or descriptors is this ring's alone.
            return $"ring {index}: {e.Message}";
        }
        _inflightAt = null;
        CallOnce();
        return null;
    }

    /// <summary>
    /// Stops the ring and keeps its position; a later start continues there. The record of chains in flight stays as it is: the
    /// next back-end may find the position of a packed ring nowhere else, and the device may not have finished all chains.
    /// </summary>
    internal void Pause()
    {
        if (_running is null) return;
        _base = _stoppedAt = _running.Stop();
        if (_running.HasInflight)
        {
            _inflightAt = _base;
            UsesOldMemory = true;
        }
        _running = null;
        _isPositionKnown = true;
    }

    /// <summary>
    /// Stops and disables the ring, whose next start is at the start of its layout unless SET_VRING_BASE says otherwise.
    /// </summary>
    /// <param name="isStatus">
    /// The reset is a device status of 0: GET_VRING_BASE still returns where the ring stopped. QEMU before 10.0 sends the
    /// status first at every stop, and continues the ring where GET_VRING_BASE says.
    /// </param>
    internal void Reset(bool isStatus)
    {
        Stop();
        IsEnabled = false;
        _stoppedAt = isStatus ? _stoppedAt ?? _base : null;
        _base = null;
        _isLost = false;
        if (!isStatus) _inflightAt = null;
    }

    /// <summary>Stops the ring and drops its eventfds; the next SET_VRING_KICK starts it again.</summary>
    internal void Stop()
    {
        Pause();
        _hasKick = false;
        Replace(ref _kick, null);
        Replace(ref _call, null);
    }

    public void Dispose()
    {
        Stop();
        Replace(ref _error, null);
    }

    /// <summary>Creates the log of the ring's next run; null where nothing is logged.</summary>
    /// <returns>Null, or why what the device writes cannot be logged.</returns>
    private string? LogOf(DirtyLog? log, in VringAddress address, GuestMemory memory, bool packed, out RingLog? ringLog)
    {
        ringLog = null;
        if (log is null) return null;
        var used = (Address: address.Log, Bytes: packed ? PackedLayout.EventBytes : SplitLayout.UsedBytes(_size));
        if ((address.Flags & VringAddress.LogUsed) == 0)
        {
            ringLog = new RingLog(log, _size);
            return null;
        }
        if (!log.Covers(used.Address, (ulong)used.Bytes)) return $"ring {index}: the dirty log does not cover its used ring at {used.Address:x}";
        // The log address is the used ring's; a packed ring's descriptors, which the device writes too, have none.
        ringLog = packed && memory.TryFindGuestAddress(address.Descriptors, out var descriptors)
            ? new RingLog(log, _size, used, (descriptors, PackedLayout.DescriptorBytes(_size)))
            : new RingLog(log, _size, used);
        return null;
    }

    private uint StartFor(ulong features) => _base ?? ((features & PackedRing) != 0 ? PackedLayout.StartPosition : 0);

    // A previous back-end, or an earlier eventfd, may have published completions without a call, and a driver that uses
    // EVENT_IDX is not called for later ones until it has seen these. A call too many is allowed (virtio 1.3 §2.7.7.1).
    private void CallOnce() => _call?.Signal();

    // The used index of a split ring is in the guest's memory, so its record is only about chains in flight, and there are
    // none. A packed ring's record is kept while it agrees: the back-end may exit before the front-end learns the position.
    private static void DropOldRecord(MemoryWindow record, bool packed, uint position)
    {
        if (record.Length == 0) return;
        if (packed) PackedInflight.DropUnlessAt(record, used: (ushort)(position >> 16));
        else record.Span.Clear();
    }

    private static void Replace(ref EventFd? target, EventFd? value)
    {
        target?.Dispose();
        target = value;
    }
}
