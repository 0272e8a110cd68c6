using VmShunt.Ring.Memory;
using VmShunt.Ring.Notification;
using VmShunt.Ring.VhostUser;
using VmShunt.Ring.Virtqueue;

namespace VmShunt.Ring.Serving;

/// <summary>
/// A <see cref="VirtioDevice"/> as the back-end of its vhost-user session needs it. It checks what the device says, and turns
/// its exceptions into reports and refusals. Used by the session's thread.
/// </summary>
internal sealed class VirtioEndpoint : IVhostUserDevice, IDisposable
{
    private const int MaxQueues = (int)VringDescriptorWord.IndexMask + 1;

    // Virtio 1.3 §2.2: bits 24 to 49 are the transport's.
    private const ulong OwnFeatures = ~0UL >> 40 | ~0UL << 50;

    // VIRTIO_F_INDIRECT_DESC, EVENT_IDX, VERSION_1 and RING_PACKED (virtio 1.3 §6).
    private const ulong TransportFeatures = 1UL << 28 | 1UL << 29 | 1UL << 32 | 1UL << 34;

    private readonly VirtioDevice _device;
    private readonly WaitPolicy _policy;
    private readonly Action<string> _failed, _broken;
    private readonly QueueWake[] _wakes;
    private readonly int _configLength;
    private VhostUserBackend? _backend;

    /// <param name="device">The device.</param>
    /// <param name="policy">How the queues' threads wait.</param>
    /// <param name="failed">Receives a line for what the device, or a request, failed at. Any thread.</param>
    /// <param name="broken">Receives a line when the driver broke a ring. Any thread.</param>
    /// <exception cref="InvalidOperationException">The device describes itself in a way that virtio does not allow.</exception>
    internal VirtioEndpoint(VirtioDevice device, WaitPolicy policy, Action<string> failed, Action<string> broken)
    {
        (_device, _policy, _failed, _broken) = (device, policy, failed, broken);
        (QueueCount, MaxQueueSize, _configLength) = (device.QueueCount, device.QueueSize, device.ConfigLength);
        var own = device.Features;
        var name = device.GetType().Name;
        if (QueueCount is < 1 or > MaxQueues) throw new InvalidOperationException($"{name}.QueueCount is {QueueCount}: a device has 1 to {MaxQueues} queues");
        if (!SplitLayout.IsValidSize(MaxQueueSize)) throw new InvalidOperationException($"{name}.QueueSize is {MaxQueueSize}: a queue's size is a power of two up to {SplitLayout.MaxSize}");
        if (_configLength is < 0 or > VhostUserConfigHeader.MaxSpace)
            throw new InvalidOperationException($"{name}.ConfigLength is {_configLength}: a configuration space has 0 to {VhostUserConfigHeader.MaxSpace} bytes");
        if ((own & ~OwnFeatures) != 0)
            throw new InvalidOperationException($"{name}.Features has bits {own & ~OwnFeatures:x}: a device type has bits 0 to 23 and 50 to 63, the others are the transport's");
        Features = own | TransportFeatures;
        IsMigratable = device.IsMigratable;
        _wakes = [.. Enumerable.Range(0, QueueCount).Select(static _ => new QueueWake())];
        device.Attach(this, _wakes);
    }

    public ulong Features { get; }

    public int QueueCount { get; }

    public int MaxQueueSize { get; }

    public bool IsMigratable { get; }

    public string MaxQueueSizeSetting => $"{_device.GetType().Name}.{nameof(VirtioDevice.QueueSize)}";

    // With STATUS a ring starts at DRIVER_OK, which QEMU 7.2 never sends for its vhost-user-rng; and it warns of CONFIG where
    // its own device has no configuration space.
    public VhostUserProtocolFeatures Withheld =>
        VhostUserProtocolFeatures.Status | (_configLength == 0 ? VhostUserProtocolFeatures.Config : VhostUserProtocolFeatures.None);

    /// <summary>The session has opened.</summary>
    internal void Connect(VhostUserBackend backend)
    {
        Ordered.Store(ref _backend, backend);
        Call(nameof(VirtioDevice.OnConnected), _device.OnConnected);
    }

    /// <summary>The session has closed; no ring runs.</summary>
    internal void Disconnect()
    {
        Ordered.Store(ref _backend, null);
        try
        {
            _device.OnDisconnected();
        }
        catch (Exception e)
        {
            _failed(Threw(nameof(VirtioDevice.OnDisconnected), e));
        }
    }

    internal void NotifyConfigChanged() => Ordered.Load(ref _backend)?.NotifyConfigChanged();

    public void FeaturesChosen(ulong features) => Call(nameof(VirtioDevice.OnNegotiated), () => _device.OnNegotiated(features));

    public void Reset() => Call(nameof(VirtioDevice.OnReset), _device.OnReset);

    // A front-end may know a longer space than this device has: the rest reads as 0.
    public bool TryReadConfig(int offset, Span<byte> target)
    {
        Span<byte> config = stackalloc byte[VhostUserConfigHeader.MaxSpace];
        config.Clear();
        try
        {
            _device.ReadConfig(config[.._configLength]);
        }
        catch (Exception e)
        {
            _failed(Threw(nameof(VirtioDevice.ReadConfig), e));
            return false;
        }
        config.Slice(offset, target.Length).CopyTo(target);
        return true;
    }

    public bool TryWriteConfig(int offset, ReadOnlySpan<byte> source)
    {
        if (offset > _configLength || source.Length > _configLength - offset) return false;
        try
        {
            return _device.TryWriteConfig(offset, source);
        }
        catch (Exception e)
        {
            _failed(Threw(nameof(VirtioDevice.TryWriteConfig), e));
            return false;
        }
    }

    public IRunningVring Start(VringSetup setup) =>
        new VirtioVringHandler(setup, _device, _wakes[setup.Index], _failed).Start(
            _policy, groups: null, fault => _broken($"queue {setup.Index} was stopped, because its driver broke it: {fault}"));

    public void Dispose()
    {
        foreach (var wake in _wakes) wake.Dispose();
    }

    // A device that fails to follow its driver cannot serve it: the session closes.
    private void Call(string member, Action call)
    {
        try
        {
            call();
        }
        catch (Exception e)
        {
            throw new VhostUserException(Threw(member, e));
        }
    }

    private string Threw(string member, Exception e) => $"{_device.GetType().Name}.{member} threw {e.GetType().Name}: {e.Message}";
}
