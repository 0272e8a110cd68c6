using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using VmShunt.Ring.Interop;

namespace VmShunt.Ring.VhostUser;

/// <summary>
/// The driver end of a vhost-user session: negotiates with any back-end, shares memory, reads configuration, starts and
/// stops rings. Blocking calls from one thread. Addresses that it names are guest-physical: this front-end gives each
/// region a user address equal to its guest-physical one.
/// </summary>
public sealed class VhostUserFrontend : IDisposable
{
    private const ulong ProtocolFeaturesBit = 1UL << 30, PackedRing = 1UL << 34;

    private const VhostUserProtocolFeatures WantedProtocol =
        VhostUserProtocolFeatures.MultiQueue | VhostUserProtocolFeatures.ReplyAck | VhostUserProtocolFeatures.Config
        | VhostUserProtocolFeatures.ConfigureMemSlots | VhostUserProtocolFeatures.BackendRequests;

    private readonly VhostUserConnection _connection;

    private VhostUserFrontend(VhostUserConnection connection) => _connection = connection;

    /// <summary>The virtio features in use, without vhost-user's own bit.</summary>
    public ulong Features { get; private set; }

    /// <summary>The protocol features in use.</summary>
    public VhostUserProtocolFeatures ProtocolFeatures { get; private set; }

    /// <summary>How many rings the back-end serves.</summary>
    public int QueueCount { get; private set; } = 1;

    /// <summary>The socket; readable when the back-end has closed the session.</summary>
    public SafeHandle Handle => _connection.Socket.Handle;

    /// <summary>Opens a session and agrees on features.</summary>
    /// <param name="socket">Connected; owned from now on, also when this fails.</param>
    /// <param name="wanted">The virtio features that the driver can use.</param>
    /// <param name="required">Those it cannot do without.</param>
    /// <exception cref="IOException">The back-end is gone, breaks the protocol, or lacks a required feature.</exception>
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
    /// <param name="regions">Where the regions are, in guest-physical addresses and in the file.</param>
    /// <param name="file">The file behind all of them.</param>
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

    /// <summary>Reads device configuration space.</summary>
    /// <param name="target">What is read.</param>
    /// <param name="offset">Where it starts.</param>
    /// <returns>False when the back-end has no configuration to give.</returns>
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

    /// <summary>Writes device configuration space.</summary>
    /// <returns>False when the back-end refused it; one that cannot acknowledge is believed to have taken it.</returns>
    public bool TryWriteConfig(ReadOnlySpan<byte> source, int offset)
    {
        if ((ProtocolFeatures & VhostUserProtocolFeatures.Config) == 0) return false;
        Span<byte> payload = stackalloc byte[VhostUserConfigHeader.Bytes + source.Length];
        MemoryMarshal.Write(payload, new VhostUserConfigHeader { Offset = (uint)offset, Size = (uint)source.Length });
        source.CopyTo(payload[VhostUserConfigHeader.Bytes..]);
        return TryCommand(VhostUserRequest.SetConfig, payload);
    }

    /// <summary>Gives the back-end a socket for requests of its own (<see cref="VhostUserBackendRequest"/>).</summary>
    /// <returns>The socket to read them from, the caller's; null when the back-end makes none.</returns>
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

    /// <summary>Hands a ring to the back-end and switches it on.</summary>
    /// <param name="index">Which ring.</param>
    /// <param name="size">Entries.</param>
    /// <param name="position">Where to start.</param>
    /// <param name="descriptors">Guest-physical address of the descriptor area.</param>
    /// <param name="driver">Guest-physical address of the driver area (available ring).</param>
    /// <param name="device">Guest-physical address of the device area (used ring).</param>
    /// <param name="kick">The driver's eventfd; stays the caller's.</param>
    /// <param name="call">The device's eventfd; stays the caller's.</param>
    public void StartRing(int index, int size, uint position, ulong descriptors, ulong driver, ulong device, EventFd kick, EventFd call)
    {
        ArgumentNullException.ThrowIfNull(kick);
        ArgumentNullException.ThrowIfNull(call);
        Command(VhostUserRequest.SetVringNum, new VringState { Index = (uint)index, Value = (uint)size });
        Command(VhostUserRequest.SetVringBase, new VringState { Index = (uint)index, Value = position });
        Command(VhostUserRequest.SetVringAddr, new VringAddress { Index = (uint)index, Descriptors = descriptors, Available = driver, Used = device });
        Command(VhostUserRequest.SetVringCall, (ulong)index, call.Handle);
        Command(VhostUserRequest.SetVringKick, (ulong)index, kick.Handle);
        Command(VhostUserRequest.SetVringEnable, new VringState { Index = (uint)index, Value = 1 });
    }

    /// <summary>Stops a ring; when it returns, the back-end has returned all that it took.</summary>
    /// <returns>Where it would have gone on, in the form of the ring's layout.</returns>
    public uint StopRing(int index)
    {
        _connection.Send(VhostUserRequest.GetVringBase, 0, new VringState { Index = (uint)index });
        ReceiveReply(VhostUserRequest.GetVringBase);
        var state = _connection.PayloadAs<VringState>();
        // A packed ring's place has two halves, each with a wrap counter.
        if (state.Index != (uint)index || (state.Value > ushort.MaxValue && (Features & PackedRing) == 0))
            throw new VhostUserException($"the back-end says that ring {index} stopped with ring {state.Index} at {state.Value}");
        return state.Value;
    }

    /// <summary>
    /// Ends the session and waits for the back-end to close its end, which it does once it has let go of the memory.
    /// </summary>
    /// <returns>False when it did not within the time.</returns>
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
                // A late answer is no close: the memory may still be in use.
                if (_connection.Socket.Receive(late) == 0) return true;
            }
            return false;
        }
        catch (IOException)
        {
            // It closed without reading all that we had sent.
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
        if ((offered & ProtocolFeaturesBit) != 0)
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
        if (!_connection.Receive()) throw new IOException($"the back-end closed the session instead of answering {request}");
        var header = _connection.Header;
        if (header.Request != request || (header.Flags & VhostUserHeader.Reply) == 0)
            throw new VhostUserException($"the back-end answered {request} with {header.Request}");
    }
}
