using System.Runtime.InteropServices;
using VmShunt.Ring.Interop;

namespace VmShunt.Ring.VhostUser;

/// <summary>
/// The device end of one vhost-user session: takes the front-end's messages on the calling thread until it closes,
/// keeps its memory and descriptors, and starts and stops the device's rings. When <see cref="Run"/> returns, no ring
/// runs and no memory is mapped; <see cref="Dispose"/> then closes the socket: whoever waits for the close may rely on it.
/// </summary>
/// <param name="connection">The session; owned.</param>
/// <param name="device">The device; not owned.</param>
/// <param name="report">Told of refused messages, a line each.</param>
public sealed class VhostUserBackend(VhostUserConnection connection, IVhostUserDevice device, Action<string> report) : IDisposable
{
    private const ulong ProtocolFeaturesBit = 1UL << 30;

    // The virtio device status (virtio 1.3 §2.1).
    private const ulong DriverOk = 4, FeaturesOk = 8, StatusMask = 0xff;

    private const VhostUserProtocolFeatures OfferedProtocol =
        VhostUserProtocolFeatures.MultiQueue | VhostUserProtocolFeatures.ReplyAck | VhostUserProtocolFeatures.BackendRequests
        | VhostUserProtocolFeatures.Config | VhostUserProtocolFeatures.ResetDevice | VhostUserProtocolFeatures.ConfigureMemSlots | VhostUserProtocolFeatures.Status
        | VhostUserProtocolFeatures.InflightSharedMemory;

    private readonly BackendMemory _memory = new();
    private readonly BackendInflight _inflight = new();
    private readonly BackendChannel _channel = new();
    private readonly BackendVring[] _vrings = [.. Enumerable.Range(0, device.QueueCount).Select(i => new BackendVring(i))];
    private ulong _features;
    private VhostUserProtocolFeatures _protocolFeatures;
    private ulong _status;
    private bool _featuresRefused;

    /// <summary>
    /// Tells the front-end that configuration space has changed, if it gave a socket for that. Any thread; never waits.
    /// </summary>
    public void NotifyConfigChanged()
    {
        if ((_protocolFeatures & VhostUserProtocolFeatures.Config) != 0) _channel.NotifyConfigChanged();
    }

    /// <summary>Serves the session until the front-end closes it or breaks the protocol.</summary>
    /// <returns>Null for an orderly end, or why it ended.</returns>
    public string? Run()
    {
        try
        {
            while (connection.Receive()) Handle(connection.Header);
            return null;
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

    /// <summary>Stops the rings and unmaps the memory, as the end of <see cref="Run"/> does; then closes the socket.</summary>
    public void Dispose()
    {
        Release();
        connection.Dispose();
    }

    private void Release()
    {
        foreach (var vring in _vrings) vring.Dispose();
        _memory.Dispose();
        _inflight.Dispose();
        _channel.Dispose();
    }

    private void Handle(VhostUserHeader header)
    {
        if ((header.Flags & VhostUserHeader.Reply) != 0) throw new VhostUserException($"{header.Request}: a reply that nobody asked for");
        switch (header.Request)
        {
            case VhostUserRequest.GetFeatures:
                Reply(device.Features | ProtocolFeaturesBit);
                return;
            case VhostUserRequest.GetProtocolFeatures:
                Reply((ulong)OfferedProtocol);
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
                ReplyConfig();
                return;
            case VhostUserRequest.GetVringBase:
                ReplyVringBase();
                return;
            case VhostUserRequest.GetInflightFd:
                ReplyInflight();
                return;
        }

        var refusal = Apply(header.Request);
        if (refusal is not null) report($"{header.Request} refused: {refusal}");
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
        VhostUserRequest.SetVringNum => OnState((vring, value) => vring.SetSize(value, device.MaxQueueSize, _features)),
        VhostUserRequest.SetVringBase => OnState((vring, value) => vring.SetPosition(value, _features)),
        VhostUserRequest.SetVringAddr => SetVringAddress(connection.PayloadAs<VringAddress>()),
        VhostUserRequest.SetVringEnable => OnState(Enable),
        VhostUserRequest.SetVringKick => OnDescriptor((vring, kick) => vring.SetKick(kick)),
        VhostUserRequest.SetVringCall => OnDescriptor((vring, call) => vring.SetCall(call)),
        VhostUserRequest.SetVringErr => OnDescriptor((vring, error) => vring.SetError(error)),
        VhostUserRequest.SetConfig => SetConfig(),
        VhostUserRequest.SetBackendReqFd => SetBackendChannel(),
        VhostUserRequest.SetInflightFd => SetInflight(),
        VhostUserRequest.SetStatus => SetStatus(connection.PayloadAs<ulong>()),
        VhostUserRequest.ResetDevice or VhostUserRequest.ResetOwner => Reset(),
        _ => "the message is unknown here",
    };

    private string? SetFeatures(ulong features)
    {
        var unknown = features & ~(device.Features | ProtocolFeaturesBit);
        _featuresRefused = unknown != 0;
        if (_featuresRefused) return $"features {unknown:x} were not offered";
        _features = features;
        device.FeaturesChosen(features & ~ProtocolFeaturesBit);
        return null;
    }

    private string? SetProtocolFeatures(ulong features)
    {
        var unknown = features & ~(ulong)OfferedProtocol;
        if (unknown != 0) return $"protocol features {unknown:x} were not offered";
        _protocolFeatures = (VhostUserProtocolFeatures)features;
        return null;
    }

    private string? SetBackendChannel()
    {
        if ((_protocolFeatures & VhostUserProtocolFeatures.BackendRequests) == 0) return "BACKEND_REQ was not negotiated";
        if (connection.TakeDescriptor() is not { } socket) return "no descriptor came along";
        if (_channel.Open(socket) is { } fault) return fault;
        return connection.Socket.CanSend ? null : throw new VhostUserException("SET_BACKEND_REQ_FD gave an end of this very session");
    }

    private string? SetStatus(ulong status)
    {
        if ((status & StatusMask) == 0) return Reset();
        // A driver that asks for more than was offered finds out here (virtio 1.3 §2.2.2).
        _status = status & StatusMask & ~(_featuresRefused ? FeaturesOk : 0);
        return StartAll();
    }

    /// <summary>With STATUS, no ring is served before the driver is ready (virtio 1.3 §2.1.2).</summary>
    private bool IsDriverReady => (_protocolFeatures & VhostUserProtocolFeatures.Status) == 0 || (_status & DriverOk) != 0;

    private string? Reset()
    {
        foreach (var vring in _vrings)
        {
            vring.Stop();
            vring.IsEnabled = false;
            vring.SetPosition(0, _features);
        }
        _status = 0;
        return null;
    }

    private VhostUserMemoryRegion MemoryPayload()
    {
        // ADD_MEM_REG and REM_MEM_REG put eight bytes of padding before the region.
        var payload = connection.Payload;
        return payload.Length == sizeof(ulong) + VhostUserMemoryRegion.Bytes
            ? MemoryMarshal.Read<VhostUserMemoryRegion>(payload[sizeof(ulong)..])
            : throw new VhostUserException($"{connection.Header.Request} carries {payload.Length} bytes, not 40");
    }

    private string? SetMemTable()
    {
        // u32 count, u32 padding, then the regions.
        var payload = connection.Payload.ToArray();
        if (payload.Length < 8) throw new VhostUserException("SET_MEM_TABLE is too short");
        var count = MemoryMarshal.Read<uint>(payload);
        if (count is 0 or > 8) return $"{count} regions in one table; 1 to 8 are possible";
        if (payload.Length < 8 + count * VhostUserMemoryRegion.Bytes || connection.DescriptorCount != count)
            return $"a table of {count} regions came with {payload.Length} bytes and {connection.DescriptorCount} descriptors";
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
    /// Memory changes between requests, never under one: rings pause, and go on where they stopped. The answer is about
    /// the memory; a ring that is no longer inside it waits for memory that is.
    /// </summary>
    private string? ChangeMemory(Func<string?> change)
    {
        foreach (var vring in _vrings) vring.Pause();
        var fault = change();
        if (StartAll() is { } notStarted) report($"{connection.Header.Request}: {notStarted}");
        return fault;
    }

    /// <returns>Null, or why a ring that should run cannot.</returns>
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

    private string? OnState(Func<BackendVring, uint, string?> action)
    {
        var state = connection.PayloadAs<VringState>();
        return state.Index < _vrings.Length ? action(_vrings[state.Index], state.Value) : NoSuchRing(state.Index);
    }

    private string? OnDescriptor(Action<BackendVring, EventFd?> action)
    {
        var word = connection.PayloadAs<ulong>();
        var index = word & VringDescriptorWord.IndexMask;
        if (index >= (ulong)_vrings.Length) return NoSuchRing(index);
        var without = (word & VringDescriptorWord.NoDescriptor) != 0;
        var handle = without ? null : connection.TakeDescriptor();
        if (!without && handle is null) return $"ring {index}: no descriptor came along and the no-descriptor bit is not set";
        EventFd? eventFd = null;
        if (handle is not null && !EventFd.TryFromPeer(handle, out eventFd)) return $"ring {index}: the descriptor is no eventfd";
        var vring = _vrings[index];
        // A ring being served holds its descriptors: it pauses for the exchange.
        vring.Pause();
        action(vring, eventFd);
        return Start(vring);
    }

    private string? SetVringAddress(VringAddress address)
    {
        if (address.Index >= _vrings.Length) return NoSuchRing(address.Index);
        return _vrings[address.Index].SetAddress(address) ?? Start(_vrings[address.Index]);
    }

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
        // Without the protocol-features bit there is no SET_VRING_ENABLE: a ring with a kick is on.
        if ((_features & ProtocolFeaturesBit) == 0) vring.IsEnabled = true;
        return !IsDriverReady ? null : vring.StartIfReady(device, _memory.Current, _inflight, _features);
    }

    private string? SetConfig()
    {
        var payload = connection.Payload;
        if (payload.Length < VhostUserConfigHeader.Bytes) throw new VhostUserException("SET_CONFIG is too short");
        var header = MemoryMarshal.Read<VhostUserConfigHeader>(payload);
        var bytes = payload[VhostUserConfigHeader.Bytes..];
        if (header.Size != bytes.Length || header.Offset > VhostUserConfigHeader.MaxSpace)
            return $"configuration of {header.Size} bytes at {header.Offset} came with {bytes.Length} bytes";
        return device.TryWriteConfig((int)header.Offset, bytes) ? null : $"configuration at {header.Offset} is not writable";
    }

    private void ReplyConfig()
    {
        var payload = connection.Payload;
        if (payload.Length < VhostUserConfigHeader.Bytes) throw new VhostUserException("GET_CONFIG is too short");
        var header = MemoryMarshal.Read<VhostUserConfigHeader>(payload);
        Span<byte> reply = stackalloc byte[VhostUserConfigHeader.Bytes + VhostUserConfigHeader.MaxSpace];
        reply.Clear();
        MemoryMarshal.Write(reply, header);
        var known = header.Size <= VhostUserConfigHeader.MaxSpace && header.Offset <= VhostUserConfigHeader.MaxSpace - header.Size
            && device.TryReadConfig((int)header.Offset, reply.Slice(VhostUserConfigHeader.Bytes, (int)header.Size));
        if (!known) report($"GetConfig refused: {header.Size} bytes at {header.Offset} are not in the configuration space");
        // An empty reply says that there is no such configuration.
        connection.Send(VhostUserRequest.GetConfig, VhostUserHeader.Reply, known ? reply[..(VhostUserConfigHeader.Bytes + (int)header.Size)] : default);
    }

    private void ReplyVringBase()
    {
        var state = connection.PayloadAs<VringState>();
        if (state.Index >= _vrings.Length) throw new VhostUserException($"GET_VRING_BASE: {NoSuchRing(state.Index)}");
        var vring = _vrings[state.Index];
        vring.Stop();
        connection.Send(VhostUserRequest.GetVringBase, VhostUserHeader.Reply, new VringState { Index = state.Index, Value = vring.Position });
    }

    private VhostUserInflight InflightPayload()
    {
        var payload = connection.Payload;
        return payload.Length is VhostUserInflight.Bytes or VhostUserInflight.Bytes + sizeof(uint)
            ? MemoryMarshal.Read<VhostUserInflight>(payload)
            : throw new VhostUserException($"{connection.Header.Request} carries {payload.Length} bytes, not {VhostUserInflight.Bytes}");
    }

    private string? SetInflight()
    {
        var inflight = InflightPayload();
        using var file = connection.TakeDescriptor();
        return ChangeMemory(() => _inflight.Attach(inflight, file, _vrings.Length));
    }

    private void ReplyInflight()
    {
        var inflight = InflightPayload();
        Span<byte> reply = stackalloc byte[connection.Payload.Length];
        reply.Clear();
        if (inflight.QueueCount == 0 || inflight.QueueCount > _vrings.Length)
        {
            report($"GetInflightFd refused: {inflight.QueueCount} rings; the device has {_vrings.Length}");
            connection.Send(VhostUserRequest.GetInflightFd, VhostUserHeader.Reply, reply);
            return;
        }
        using var file = BackendInflight.Create(inflight.QueueCount, device.MaxQueueSize, out var bytes);
        MemoryMarshal.Write(reply, inflight with { MmapSize = (ulong)bytes, MmapOffset = 0 });
        connection.Send(VhostUserRequest.GetInflightFd, VhostUserHeader.Reply, reply, [file]);
    }

    private void Reply(ulong value) => connection.Send(connection.Header.Request, VhostUserHeader.Reply, value);

    private string NoSuchRing(ulong index) => $"there is no ring {index}; the device has {_vrings.Length}";
}
