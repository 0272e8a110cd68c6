using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using VmShunt.Ring.Interop;

namespace VmShunt.Ring.VhostUser;

/// <summary>
/// The driver end of a vhost-user session with any back-end: negotiates features, shares memory, reads the configuration
/// space, starts and stops rings. Calls block, and come from one thread. All addresses are guest-physical: this front-end
/// makes the user address of each region equal to its guest-physical one.
/// </summary>
public sealed class VhostUserFrontend : IDisposable
{
    private const ulong ProtocolFeaturesBit = 1UL << 30, PackedRing = 1UL << 34;

    private const VhostUserProtocolFeatures WantedProtocol =
        VhostUserProtocolFeatures.MultiQueue | VhostUserProtocolFeatures.ReplyAck | VhostUserProtocolFeatures.Config
        | VhostUserProtocolFeatures.ConfigureMemSlots | VhostUserProtocolFeatures.BackendRequests;

    private readonly VhostUserConnection _connection;
    private bool _hasProtocolFeatures;

    private VhostUserFrontend(VhostUserConnection connection) => _connection = connection;

    /// <summary>The negotiated virtio features, without VHOST_USER_F_PROTOCOL_FEATURES.</summary>
    public ulong Features { get; private set; }

    /// <summary>The negotiated protocol features.</summary>
    public VhostUserProtocolFeatures ProtocolFeatures { get; private set; }

    /// <summary>How many rings the back-end supports.</summary>
    public int QueueCount { get; private set; } = 1;

    /// <summary>The socket. It becomes readable when the back-end closes the session.</summary>
    public SafeHandle Handle => _connection.Socket.Handle;

    /// <summary>Opens a session and negotiates features.</summary>
    /// <param name="socket">A connected socket, which the session owns, even if this call fails.</param>
    /// <param name="wanted">The virtio features that the driver can use.</param>
    /// <param name="required">The virtio features that the driver needs.</param>
    /// <exception cref="IOException">The back-end closes the session, breaks the protocol, or lacks a required feature.</exception>
    public static VhostUserFrontend Open(UnixConnection socket, ulong wanted, ulong required)
    {
        var frontend = new VhostUserFrontend(new VhostUserConnection(socket));
        try
        {
            frontend.Negotiate(wanted, required);
            return frontend;
        }
        catch
        {
            frontend.Dispose();
            throw;
        }
    }

    /// <summary>Shares the guest's memory. Regions must not overlap; at most eight.</summary>
    /// <param name="regions">Guest-physical address, size and file offset of each region.</param>
    /// <param name="file">The file that all regions map.</param>
    public void ShareMemory(ReadOnlySpan<(ulong GuestAddress, ulong Size, ulong FileOffset)> regions, SafeFileHandle file)
    {
        if ((ProtocolFeatures & VhostUserProtocolFeatures.ConfigureMemSlots) != 0)
        {
            Span<byte> one = stackalloc byte[sizeof(ulong) + VhostUserMemoryRegion.Bytes];
            foreach (var region in regions)
            {
                one.Clear();
                MemoryMarshal.Write(one[sizeof(ulong)..], Wire(region));
                Command(VhostUserRequest.AddMemReg, one, file);
            }
            return;
        }

        Span<byte> table = stackalloc byte[8 + 8 * VhostUserMemoryRegion.Bytes];
        table.Clear();
        MemoryMarshal.Write(table, (uint)regions.Length);
        var handles = new SafeHandle[regions.Length];
        for (var i = 0; i < regions.Length; i++)
        {
            MemoryMarshal.Write(table[(8 + i * VhostUserMemoryRegion.Bytes)..], Wire(regions[i]));
            handles[i] = file;
        }
        Command(VhostUserRequest.SetMemTable, table[..(8 + regions.Length * VhostUserMemoryRegion.Bytes)], handles);
    }

    /// <summary>Reads from the configuration space.</summary>
    /// <param name="target">Receives the bytes.</param>
    /// <param name="offset">The offset of the first byte.</param>
    /// <returns>False when the back-end has no such configuration.</returns>
    public bool TryReadConfig(Span<byte> target, int offset = 0)
    {
        if ((ProtocolFeatures & VhostUserProtocolFeatures.Config) == 0) return false;
        Span<byte> payload = stackalloc byte[VhostUserConfigHeader.Bytes + target.Length];
        payload.Clear();
        MemoryMarshal.Write(payload, new VhostUserConfigHeader { Offset = (uint)offset, Size = (uint)target.Length });
        _connection.Send(VhostUserRequest.GetConfig, 0, payload);
        ReceiveReply(VhostUserRequest.GetConfig);
        var reply = _connection.Payload;
        if (reply.Length != payload.Length) return false;
        reply[VhostUserConfigHeader.Bytes..].CopyTo(target);
        return true;
    }

    /// <summary>Writes to the configuration space.</summary>
    /// <returns>False when the back-end refused the write. Without REPLY_ACK the write counts as accepted.</returns>
    public bool TryWriteConfig(ReadOnlySpan<byte> source, int offset)
    {
        if ((ProtocolFeatures & VhostUserProtocolFeatures.Config) == 0) return false;
        Span<byte> payload = stackalloc byte[VhostUserConfigHeader.Bytes + source.Length];
        MemoryMarshal.Write(payload, new VhostUserConfigHeader { Offset = (uint)offset, Size = (uint)source.Length });
        source.CopyTo(payload[VhostUserConfigHeader.Bytes..]);
        return TryCommand(VhostUserRequest.SetConfig, payload);
    }

    /// <summary>Opens a channel for the back-end's own requests (<see cref="VhostUserBackendRequest"/>).</summary>
    /// <returns>The channel, which the caller owns; null when the back-end does not support it.</returns>
    public VhostUserConnection? OpenBackendRequests()
    {
        if ((ProtocolFeatures & VhostUserProtocolFeatures.BackendRequests) == 0) return null;
        var (mine, its) = UnixConnection.CreatePair();
        using (its)
        {
            try
            {
                Command(VhostUserRequest.SetBackendReqFd, [], its.Handle);
                return new VhostUserConnection(mine);
            }
            catch
            {
                mine.Dispose();
                throw;
            }
        }
    }

    /// <summary>Sets a ring up and enables it.</summary>
    /// <param name="index">The ring's index.</param>
    /// <param name="size">Entries.</param>
    /// <param name="position">The position of the first chain.</param>
    /// <param name="descriptors">Guest-physical address of the descriptor area.</param>
    /// <param name="driver">Guest-physical address of the driver area (available ring).</param>
    /// <param name="device">Guest-physical address of the device area (used ring).</param>
    /// <param name="kick">The driver's eventfd, which the caller keeps.</param>
    /// <param name="call">The device's eventfd, which the caller keeps.</param>
    public void StartRing(int index, int size, uint position, ulong descriptors, ulong driver, ulong device, EventFd kick, EventFd call)
    {
        ArgumentNullException.ThrowIfNull(kick);
        ArgumentNullException.ThrowIfNull(call);
        Command(VhostUserRequest.SetVringNum, new VringState { Index = (uint)index, Value = (uint)size });
        Command(VhostUserRequest.SetVringBase, new VringState { Index = (uint)index, Value = position });
        Command(VhostUserRequest.SetVringAddr, new VringAddress { Index = (uint)index, Descriptors = descriptors, Available = driver, Used = device });
        Command(VhostUserRequest.SetVringCall, (ulong)index, call.Handle);
        Command(VhostUserRequest.SetVringKick, (ulong)index, kick.Handle);
        // Without the protocol-features bit there is no SET_VRING_ENABLE, and the kick starts the ring enabled ("Ring states").
        if (_hasProtocolFeatures) Command(VhostUserRequest.SetVringEnable, new VringState { Index = (uint)index, Value = 1 });
    }

    /// <summary>Stops a ring. When the call returns, the back-end has returned all popped chains.</summary>
    /// <returns>The position of the next chain, in the form of the ring's layout.</returns>
    public uint StopRing(int index)
    {
        _connection.Send(VhostUserRequest.GetVringBase, 0, new VringState { Index = (uint)index });
        ReceiveReply(VhostUserRequest.GetVringBase);
        var state = _connection.PayloadAs<VringState>();
        // "Vring descriptor indices for packed virtqueues": two halves, each with a wrap counter.
        if (state.Index != (uint)index || (state.Value > ushort.MaxValue && (Features & PackedRing) == 0))
            throw new VhostUserException($"the back-end reports ring {state.Index} at {state.Value} for the stop of ring {index}");
        return state.Value;
    }

    /// <summary>
    /// Ends the session and waits until the back-end closes its end, which it does after it has unmapped the memory.
    /// </summary>
    /// <returns>False when the timeout expired.</returns>
    public bool Close(int timeoutMilliseconds)
    {
        using var wait = new WaitSet(_connection.Socket.Handle);
        _connection.Socket.ShutdownSend();
        var closed = WaitForClose(wait, timeoutMilliseconds);
        Dispose();
        return closed;
    }

    private bool WaitForClose(WaitSet wait, int timeoutMilliseconds)
    {
        var deadline = Environment.TickCount64 + timeoutMilliseconds;
        Span<byte> late = stackalloc byte[VhostUserHeader.Bytes];
        try
        {
            for (long left = timeoutMilliseconds; left >= 0 && wait.Wait((int)left); left = deadline - Environment.TickCount64)
            {
                // A late reply is not a close: the back-end may still access the memory.
                if (_connection.Socket.Receive(late) == 0) return true;
            }
            return false;
        }
        catch (IOException)
        {
            // The back-end closed before it read everything.
            return true;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _connection.Dispose();

    private void Negotiate(ulong wanted, ulong required)
    {
        Command(VhostUserRequest.SetOwner, []);
        var offered = Query(VhostUserRequest.GetFeatures);
        if ((required & ~offered) != 0) throw new IOException($"the back-end does not offer required features {required & ~offered:x}");
        Features = offered & wanted;
        _hasProtocolFeatures = (offered & ProtocolFeaturesBit) != 0;
        if (_hasProtocolFeatures)
        {
            ProtocolFeatures = (VhostUserProtocolFeatures)Query(VhostUserRequest.GetProtocolFeatures) & WantedProtocol;
            _connection.Send(VhostUserRequest.SetProtocolFeatures, 0, (ulong)ProtocolFeatures);
        }
        Command(VhostUserRequest.SetFeatures, Features | (offered & ProtocolFeaturesBit));
        if ((ProtocolFeatures & VhostUserProtocolFeatures.MultiQueue) != 0)
            QueueCount = (int)Math.Clamp(Query(VhostUserRequest.GetQueueNum), 1, VringDescriptorWord.IndexMask + 1);
    }

    private static VhostUserMemoryRegion Wire((ulong GuestAddress, ulong Size, ulong FileOffset) region) => new()
    {
        GuestAddress = region.GuestAddress,
        Size = region.Size,
        UserAddress = region.GuestAddress,
        FileOffset = region.FileOffset,
    };

    private ulong Query(VhostUserRequest request)
    {
        _connection.Send(request, 0, []);
        ReceiveReply(request);
        return _connection.PayloadAs<ulong>();
    }

    private void Command<T>(VhostUserRequest request, T payload, params ReadOnlySpan<SafeHandle> descriptors) where T : unmanaged =>
        Command(request, MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in payload)), descriptors);

    private void Command(VhostUserRequest request, ReadOnlySpan<byte> payload, params ReadOnlySpan<SafeHandle> descriptors)
    {
        if (!TryCommand(request, payload, descriptors)) throw new IOException($"the back-end refused {request}");
    }

    private bool TryCommand(VhostUserRequest request, ReadOnlySpan<byte> payload, params ReadOnlySpan<SafeHandle> descriptors)
    {
        var acknowledged = (ProtocolFeatures & VhostUserProtocolFeatures.ReplyAck) != 0;
        _connection.Send(request, acknowledged ? VhostUserHeader.NeedReply : 0, payload, descriptors);
        if (!acknowledged) return true;
        ReceiveReply(request);
        return _connection.PayloadAs<ulong>() == 0;
    }

    private void ReceiveReply(VhostUserRequest request)
    {
        if (!_connection.Receive()) throw new IOException($"the back-end closed the session instead of replying to {request}");
        var header = _connection.Header;
        if (header.Request != request || (header.Flags & VhostUserHeader.Reply) == 0)
            throw new VhostUserException($"the back-end replied to {request} with {header.Request}");
    }
}
