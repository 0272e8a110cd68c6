using System.Runtime.InteropServices;
using VmShunt.Ring.Interop;

namespace VmShunt.Ring.VhostUser;

/// <summary>
/// The device end of one vhost-user session. It processes the front-end's messages on the calling thread, owns the shared
/// memory and the descriptors, and starts and stops the device's rings. When <see cref="Run"/> returns, no ring runs and no
/// memory is mapped; only then does <see cref="Dispose"/> close the socket, so the front-end can rely on the close.
/// </summary>
/// <remarks>Quoted titles are those of QEMU's <c>docs/interop/vhost-user.rst</c>; a message is specified under its own name.</remarks>
/// <param name="connection">The session; owned.</param>
/// <param name="device">The device; not owned.</param>
/// <param name="report">Receives one line per refused message.</param>
public sealed class VhostUserBackend(VhostUserConnection connection, IVhostUserDevice device, Action<string> report) : IDisposable
{
    private const ulong ProtocolFeaturesBit = 1UL << 30;

    // The virtio device status (virtio 1.3 §2.1).
    private const ulong DriverOk = 4, FeaturesOk = 8, StatusMask = 0xff;

    private const VhostUserProtocolFeatures KnownProtocol =
        VhostUserProtocolFeatures.MultiQueue | VhostUserProtocolFeatures.ReplyAck | VhostUserProtocolFeatures.BackendRequests
        | VhostUserProtocolFeatures.Config | VhostUserProtocolFeatures.ResetDevice | VhostUserProtocolFeatures.ConfigureMemSlots | VhostUserProtocolFeatures.Status
        | VhostUserProtocolFeatures.InflightSharedMemory;

    private const VhostUserProtocolFeatures Migration = VhostUserProtocolFeatures.LogSharedMemory | VhostUserProtocolFeatures.InflightMigration;

    private readonly VhostUserProtocolFeatures _offeredProtocol =
        (KnownProtocol | (device.IsMigratable ? Migration : VhostUserProtocolFeatures.None)) & ~device.Withheld;
    private readonly BackendMemory _memory = new(connection.Socket.Handle);
    private readonly BackendInflight _inflight = new(connection.Socket.Handle);
    private readonly BackendLog _log = new(connection.Socket.Handle);
    private readonly BackendChannel _channel = new();
    private readonly BackendVring[] _vrings = [.. Enumerable.Range(0, device.QueueCount).Select(i => new BackendVring(i))];
    private ulong _features;
    private VhostUserProtocolFeatures _protocolFeatures;
    private ulong _status;
    private bool _featuresRefused;
    private bool _isReported;

    // The record of chains in flight is of this session, or of an earlier one that the front-end brought.
    private bool _madeRecord, _bringsRecord;

    /// <summary>
    /// Notifies the front-end that the configuration space has changed, if it has opened a channel for that. Any thread;
    /// never blocks.
    /// </summary>
    public void NotifyConfigChanged() => _channel.NotifyConfigChanged();

    /// <summary>Serves the session until the front-end closes it or breaks the protocol.</summary>
    /// <returns>Null when the front-end closed the session between messages, or why it failed.</returns>
    public string? Run()
    {
        try
        {
            while (connection.Receive()) Handle(connection.Header);
            return _memory.WasTruncated || _inflight.WasTruncated ? "it has truncated memory that it shares" : null;
        }
        catch (IOException e)
        {
            return e.Message;
        }
        finally
        {
            Release();
        }
    }

    /// <summary>Stops the rings, unmaps the memory and closes the socket.</summary>
    public void Dispose()
    {
        Release();
        connection.Dispose();
    }

    private void Release()
    {
        foreach (var vring in _vrings) vring.Dispose();
        TakeOldMemoryAway();
        PassOnIfStopped();
        _memory.Dispose();
        _inflight.Dispose();
        _log.Dispose();
        _channel.Dispose();
    }

    private void Handle(VhostUserHeader header)
    {
        if ((header.Flags & VhostUserHeader.Reply) != 0) throw new VhostUserException($"{header.Request}: an unexpected reply");
        // "Communication": these messages have a reply of their own, with or without NEED_REPLY.
        switch (header.Request)
        {
            case VhostUserRequest.GetFeatures:
                Reply(OfferedFeatures);
                return;
            case VhostUserRequest.GetProtocolFeatures:
                Reply((ulong)_offeredProtocol);
                return;
            case VhostUserRequest.GetQueueNum:
                Reply((ulong)device.QueueCount);
                return;
            case VhostUserRequest.GetMaxMemSlots:
                Reply((ulong)BackendMemory.MaxRegions);
                return;
            case VhostUserRequest.GetStatus:
                Reply(_status);
                return;
            case VhostUserRequest.GetConfig:
                ConfigMessages.ReplyToGet(connection, device, report);
                return;
            case VhostUserRequest.GetVringBase:
                ReplyVringBase();
                return;
            case VhostUserRequest.GetInflightFd:
                _madeRecord = true;
                InflightMessages.ReplyToGet(connection, device, _vrings.Length, report);
                return;
            case VhostUserRequest.SetLogBase when (_protocolFeatures & VhostUserProtocolFeatures.LogSharedMemory) != 0:
                SetLogBase();
                return;
        }

        // "VHOST_USER_PROTOCOL_F_REPLY_ACK": zero for success.
        _isReported = false;
        var refusal = Apply(header.Request);
        if (refusal is not null && !_isReported) report($"{header.Request} refused: {refusal}");
        if ((header.Flags & VhostUserHeader.NeedReply) != 0) Reply(refusal is null ? 0UL : 1UL);
    }

    private string? Apply(VhostUserRequest request) => request switch
    {
        VhostUserRequest.SetOwner => null,
        VhostUserRequest.SetFeatures => SetFeatures(connection.PayloadAs<ulong>()),
        VhostUserRequest.SetProtocolFeatures => SetProtocolFeatures(connection.PayloadAs<ulong>()),
        VhostUserRequest.SetMemTable => SetMemTable(),
        VhostUserRequest.AddMemReg => ChangeMemory(() => _memory.Add(MemoryPayload(), connection.TakeDescriptor())),
        VhostUserRequest.RemMemReg => ChangeMemory(() => _memory.Remove(MemoryPayload())),
        VhostUserRequest.SetVringNum => OnState((vring, value) => vring.SetSize(value, device, _features, out _isReported)),
        VhostUserRequest.SetVringBase => OnState((vring, value) => vring.SetPosition(value, _features)),
        VhostUserRequest.SetVringAddr => SetVringAddress(connection.PayloadAs<VringAddress>()),
        VhostUserRequest.SetVringEnable => OnState(Enable),
        VhostUserRequest.SetVringKick => OnDescriptor((vring, kick) => vring.SetKick(kick)),
        VhostUserRequest.SetVringCall => OnDescriptor((vring, call) => vring.SetCall(call)),
        VhostUserRequest.SetVringErr => OnDescriptor((vring, error) => vring.SetError(error)),
        VhostUserRequest.SetConfig => ConfigMessages.Set(connection, device),
        VhostUserRequest.SetBackendReqFd => SetBackendChannel(),
        VhostUserRequest.SetInflightFd => SetInflight(),
        VhostUserRequest.SetStatus => SetStatus(connection.PayloadAs<ulong>()),
        VhostUserRequest.ResetDevice or VhostUserRequest.ResetOwner => Reset(isStatus: false),
        _ => "the message is not supported",
    };

    // "VHOST_USER_SET_FEATURES"
    private string? SetFeatures(ulong features)
    {
        var unknown = features & ~OfferedFeatures;
        _featuresRefused = unknown != 0;
        if (_featuresRefused) return $"features {unknown:x} were not offered";
        var isLogged = (features & BackendLog.LogAll) != 0;
        _features = features & ~BackendLog.LogAll;
        device.FeaturesChosen(_features & ~ProtocolFeaturesBit);
        return isLogged == _log.IsWanted ? null : ChangeLog(() => _log.IsWanted = isLogged);
    }

    // "Migration": a back-end that has LOG_SHMFD offers VHOST_F_LOG_ALL, which no driver sees.
    private ulong OfferedFeatures =>
        device.Features | ProtocolFeaturesBit | ((_offeredProtocol & VhostUserProtocolFeatures.LogSharedMemory) != 0 ? BackendLog.LogAll : 0);

    /// <summary>With the last ring of a migrating guest, the source has nothing more to write.</summary>
    private void PassOnIfStopped()
    {
        if (_log.IsMigrating && !Array.Exists(_vrings, static vring => vring.IsRunning)) device.PassOn();
    }

    // "VHOST_USER_SET_LOG_BASE": has a reply.
    private void SetLogBase()
    {
        var log = connection.PayloadAs<VhostUserLog>();
        using var file = connection.TakeDescriptor();
        if (ChangeLog(() => _log.Attach(log, file)) is { } fault) report($"SetLogBase: {fault}");
        Reply(0UL);
    }

    /// <summary>Pauses all rings while the log changes: a ring logs all or none of its chains.</summary>
    private string? ChangeLog(Action change)
    {
        foreach (var vring in _vrings) vring.Pause();
        change();
        return StartAll();
    }

    // "VHOST_USER_SET_PROTOCOL_FEATURES": also before SET_FEATURES.
    private string? SetProtocolFeatures(ulong features)
    {
        var unknown = features & ~(ulong)_offeredProtocol;
        if (unknown != 0) return $"protocol features {unknown:x} were not offered";
        _protocolFeatures = (VhostUserProtocolFeatures)features;
        // "VHOST_USER_GET_VRING_BASE": only with a record.
        _log.TakesInflight = _protocolFeatures.HasFlag(VhostUserProtocolFeatures.InflightMigration | VhostUserProtocolFeatures.InflightSharedMemory);
        _channel.SetConfig((_protocolFeatures & VhostUserProtocolFeatures.Config) != 0);
        device.ProtocolFeaturesChosen(_protocolFeatures);
        return null;
    }

    // "VHOST_USER_SET_BACKEND_REQ_FD"
    private string? SetBackendChannel()
    {
        if ((_protocolFeatures & VhostUserProtocolFeatures.BackendRequests) == 0) return "BACKEND_REQ was not negotiated";
        if (connection.TakeDescriptor() is not { } socket) return "the message has no descriptor";
        if (_channel.Open(socket) is { } fault) return fault;
        return connection.Socket.CanSend ? null : throw new VhostUserException("SET_BACKEND_REQ_FD passed an end of this session");
    }

    // "VHOST_USER_SET_STATUS"
    private string? SetStatus(ulong status)
    {
        if ((status & StatusMask) == 0) return Reset(isStatus: true);
        // A driver that sets features that were not offered must not see FEATURES_OK (virtio 1.3 §2.2.2).
        var wasReady = (_status & DriverOk) != 0;
        _status = status & StatusMask & ~(_featuresRefused ? FeaturesOk : 0);
        if (!wasReady && (_status & DriverOk) != 0) device.DriverReady(_bringsRecord);
        return StartAll();
    }

    /// <summary>With STATUS, no ring is served before the driver is ready (virtio 1.3 §2.1.2).</summary>
    private bool IsDriverReady => (_protocolFeatures & VhostUserProtocolFeatures.Status) == 0 || (_status & DriverOk) != 0;

    // "VHOST_USER_RESET_DEVICE"; "VHOST_USER_RESET_OWNER" is deprecated and may disable all rings.
    private string? Reset(bool isStatus)
    {
        foreach (var vring in _vrings) vring.Reset(isStatus);
        TakeOldMemoryAway();
        PassOnIfStopped();
        _status = 0;
        device.Reset();
        if (!isStatus) device.DriverReset();
        return null;
    }

    // "Single memory region description": eight bytes of padding, then the region.
    private VhostUserMemoryRegion MemoryPayload()
    {
        var payload = connection.Payload;
        return payload.Length == sizeof(ulong) + VhostUserMemoryRegion.Bytes
            ? MemoryMarshal.Read<VhostUserMemoryRegion>(payload[sizeof(ulong)..])
            : throw new VhostUserException($"{connection.Header.Request} carries {payload.Length} bytes, not 40");
    }

    // "VHOST_USER_SET_MEM_TABLE"; "Memory regions description": a count, padding, then up to eight regions.
    private string? SetMemTable()
    {
        var payload = connection.Payload.ToArray();
        if (payload.Length < 8) throw new VhostUserException("SET_MEM_TABLE is too short");
        var count = MemoryMarshal.Read<uint>(payload);
        if (count is 0 or > 8) return $"{count} regions in one table; 1 to 8 are valid";
        if (payload.Length < 8 + count * VhostUserMemoryRegion.Bytes || connection.DescriptorCount != count)
            return $"a table of {count} regions has {payload.Length} bytes and {connection.DescriptorCount} descriptors";
        return ChangeMemory(() =>
        {
            _memory.Clear();
            for (var i = 0; i < count; i++)
            {
                var region = MemoryMarshal.Read<VhostUserMemoryRegion>(payload.AsSpan(8 + i * VhostUserMemoryRegion.Bytes));
                if (_memory.Add(region, connection.TakeDescriptor()) is { } fault)
                {
                    _memory.Clear();
                    return fault;
                }
            }
            return null;
        });
    }

    /// <summary>
    /// Pauses all rings while the memory changes, so it never changes during a request. The reply is about the memory; a ring
    /// whose areas are no longer inside stays stopped until they are.
    /// </summary>
    private string? ChangeMemory(Func<string?> change)
    {
        foreach (var vring in _vrings) vring.Pause();
        TakeOldMemoryAway();
        var fault = change();
        if (StartAll() is { } notStarted) report($"{connection.Header.Request}: {notStarted}");
        return fault;
    }

    /// <summary>
    /// Takes the memory from the requests that the device has not finished: the guest may use it for something else from now on.
    /// No ring runs.
    /// </summary>
    private void TakeOldMemoryAway()
    {
        if (!_vrings.Any(static vring => vring.UsesOldMemory)) return;
        _memory.TakeAway();
        foreach (var vring in _vrings) vring.UsesOldMemory = false;
    }

    /// <returns>Null, or why an enabled ring cannot run.</returns>
    private string? StartAll()
    {
        string? fault = null;
        foreach (var vring in _vrings)
        {
            if (Start(vring) is not { } notStarted) continue;
            fault ??= notStarted;
            vring.SignalError();
        }
        return fault;
    }

    // "A vring state description"
    private string? OnState(Func<BackendVring, uint, string?> action)
    {
        var state = connection.PayloadAs<VringState>();
        return state.Index < _vrings.Length ? action(_vrings[state.Index], state.Value) : NoSuchRing(state.Index);
    }

    // "VHOST_USER_SET_VRING_KICK", "_CALL" and "_ERR": bits 0 to 7 are the index, bit 8 is the invalid FD flag.
    private string? OnDescriptor(Action<BackendVring, EventFd?> action)
    {
        var word = connection.PayloadAs<ulong>();
        var index = word & VringDescriptorWord.IndexMask;
        if (index >= (ulong)_vrings.Length) return NoSuchRing(index);
        var without = (word & VringDescriptorWord.NoDescriptor) != 0;
        var handle = without ? null : connection.TakeDescriptor();
        if (!without && handle is null) return $"ring {index}: the message has neither a descriptor nor the invalid FD flag";
        EventFd? eventFd = null;
        if (handle is not null && !EventFd.TryFromPeer(handle, out eventFd)) return $"ring {index}: the descriptor is not an eventfd";
        var vring = _vrings[index];
        // "Ring states": a running ring accepts new eventfds. It pauses for the exchange.
        vring.Pause();
        action(vring, eventFd);
        return Start(vring);
    }

    // "VHOST_USER_SET_VRING_ADDR"
    private string? SetVringAddress(VringAddress address)
    {
        if (address.Index >= _vrings.Length) return NoSuchRing(address.Index);
        return _vrings[address.Index].SetAddress(address) ?? Start(_vrings[address.Index]);
    }

    // "VHOST_USER_SET_VRING_ENABLE"
    private string? Enable(BackendVring vring, uint value)
    {
        if (value > 1) return $"enable is 0 or 1, not {value}";
        vring.IsEnabled = value == 1;
        if (vring.IsEnabled) return Start(vring);
        vring.Pause();
        return null;
    }

    private string? Start(BackendVring vring)
    {
        // "Ring states": without the protocol-features bit, a ring starts enabled.
        if ((_features & ProtocolFeaturesBit) == 0) vring.IsEnabled = true;
        return !IsDriverReady ? null : vring.StartIfReady(device, _memory.Current, _inflight, _log, _features);
    }

    // "VHOST_USER_GET_VRING_BASE": stops the ring, after its popped chains are returned.
    private void ReplyVringBase()
    {
        var state = connection.PayloadAs<VringState>();
        if (state.Index >= _vrings.Length) throw new VhostUserException($"GET_VRING_BASE: {NoSuchRing(state.Index)}");
        var vring = _vrings[state.Index];
        vring.Stop();
        PassOnIfStopped();
        connection.Send(VhostUserRequest.GetVringBase, VhostUserHeader.Reply, new VringState { Index = state.Index, Value = vring.PositionFor(_features) });
    }

    // "VHOST_USER_SET_INFLIGHT_FD"
    private string? SetInflight()
    {
        var inflight = InflightMessages.Payload(connection);
        using var file = connection.TakeDescriptor();
        _bringsRecord |= !_madeRecord;
        return ChangeMemory(() => _inflight.Attach(inflight, file, _vrings.Length));
    }

    private void Reply(ulong value) => connection.Send(connection.Header.Request, VhostUserHeader.Reply, value);

    private string NoSuchRing(ulong index) => $"ring {index} does not exist; the device has {_vrings.Length}";
}
