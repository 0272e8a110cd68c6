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
    private MemoryWindow _inflight;

    internal bool IsRunning => _running is not null;

    internal bool IsEnabled { get; set; }

    /// <summary>The position at which the ring starts, or at which it stopped.</summary>
    internal uint Position { get; private set; }

    internal string? SetSize(uint size, int maximum, ulong features)
    {
        if (IsRunning) return $"ring {index} is running; its size cannot change";
        var packed = (features & PackedRing) != 0;
        if (size > maximum || !(packed ? PackedLayout.IsValidSize((int)size) : SplitLayout.IsValidSize((int)size)))
            return $"ring {index}: a size of {size} is not valid (at most {maximum}{(packed ? "" : ", a power of two")})";
        _size = (int)size;
        return null;
    }

    internal string? SetPosition(uint position, ulong features)
    {
        if (IsRunning) return $"ring {index} is running; its base cannot change";
        // A packed ring's base has two halves (vhost-user, "Vring descriptor indices for packed virtqueues").
        if ((features & PackedRing) == 0 && position > ushort.MaxValue) return $"ring {index}: a base of {position} is not valid";
        Position = position;
        return null;
    }

    internal string? SetAddress(in VringAddress address)
    {
        if (IsRunning) return $"ring {index} is running; its addresses cannot change";
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

    internal void SetCall(EventFd? call) => Replace(ref _call, call);

    internal void SetError(EventFd? error) => Replace(ref _error, error);

    /// <summary>Signals that an enabled ring is not served.</summary>
    internal void SignalError() => _error?.Signal();

    /// <summary>Starts the ring if its set-up is complete and it is not running.</summary>
    /// <returns>Null, or why an enabled ring cannot run.</returns>
    internal string? StartIfReady(IVhostUserDevice device, GuestMemory memory, BackendInflight inflight, ulong features)
    {
        if (IsRunning || !IsEnabled || !_hasKick || _size == 0 || _address is not { } address) return null;
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
        if (inflight.Find(index, _size, packed, out _inflight) is { } fault) return fault;
        _running = device.Start(new VringSetup(index, _size, Position, features, memory, descriptors, driver, used, _kick, _call, _error, _inflight));
        return null;
    }

    /// <summary>Stops the ring and keeps its position; a later start continues there.</summary>
    internal void Pause()
    {
        if (_running is null) return;
        Position = _running.Stop();
        _running = null;
        // A ring that stopped in order has nothing in flight, so its record is cleared.
        _inflight.Span.Clear();
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

    private static void Replace(ref EventFd? target, EventFd? value)
    {
        target?.Dispose();
        target = value;
    }
}
