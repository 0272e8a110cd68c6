using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;

namespace VmShunt.Trap.VfioUser;

/// <summary>The reply to DEVICE_GET_INFO.</summary>
/// <param name="IsPci">Whether it is a PCI device.</param>
/// <param name="CanReset">Whether it supports DEVICE_RESET.</param>
/// <param name="RegionCount">Its number of regions.</param>
/// <param name="IrqCount">Its number of interrupt types.</param>
public readonly record struct VfioDeviceInfo(bool IsPci, bool CanReset, int RegionCount, int IrqCount);

/// <summary>
/// The client's end of vfio-user. Any thread; one request is outstanding at a time. Region accesses allocate nothing. Once
/// the server has disconnected or violated the protocol, every call throws.
/// </summary>
public sealed class VfioUserClient : IDisposable
{
    private readonly string _path;
    private readonly FramedConnection _connection;
    private readonly Lock _lock = new();
    private readonly byte[] _request = new byte[VfioUserHeader.MaxMessageBytes];
    private readonly byte[] _reply = new byte[VfioUserHeader.MaxMessageBytes];
    private readonly int _maxDataBytes;
    private long _bytes;
    private ushort _id;
    private string? _broken;

    /// <summary>Negotiates the version ("VFIO_USER_VERSION") over a connected socket, and takes ownership of it.</summary>
    /// <param name="connection">The socket.</param>
    /// <param name="path">Its path, for messages.</param>
    /// <param name="proposesState">Whether to propose that accesses carry the processor's state; see <see cref="SendsState"/>.</param>
    /// <exception cref="IOException">The server has disconnected or does not speak vfio-user 0.0 or 0.1.</exception>
    public VfioUserClient(UnixConnection connection, string path, bool proposesState = false)
    {
        _connection = new FramedConnection(connection, readAhead: true);
        _path = path;
        VfioUserVersion.Write(Payload, VfioUserVersion.Minor, proposesState);
        var reply = Exchange(VfioUserCommand.Version, VfioUserVersion.BytesWith(proposesState));
        if (!VfioUserVersion.TryRead(reply, out var major, out var minor, out var maxData, out var takesState) || major != VfioUserVersion.Major || minor > VfioUserVersion.Minor)
            throw Broken($"it answered VERSION with {major}.{minor}, not 0.0 or 0.1");
        _maxDataBytes = (int)Math.Min(maxData, VfioUserHeader.MaxDataBytes);
        SendsState = proposesState && takesState;
    }

    /// <summary>Connects and negotiates the version.</summary>
    /// <param name="path">The socket.</param>
    /// <param name="responseTimeout">How long the server may take to answer before it counts as lost; by default no limit.</param>
    /// <param name="wait">How long to wait for the server's socket; by default fail at once.</param>
    /// <param name="proposesState">Whether to propose that accesses carry the processor's state; see <see cref="SendsState"/>.</param>
    /// <exception cref="IOException">No server listens there, or it is no vfio-user server.</exception>
    public static VfioUserClient Connect(string path, TimeSpan responseTimeout = default, TimeSpan wait = default, bool proposesState = false)
    {
        var connection = UnixConnection.ConnectWithRetry(path, wait, responseTimeout);
        try
        {
            return new VfioUserClient(connection, path, proposesState);
        }
        catch
        {
            connection.Dispose();
            throw;
        }
    }

    /// <summary>The most bytes of a region access that both ends accept.</summary>
    public int MaxDataBytes => _maxDataBytes;

    /// <summary>Whether both ends agreed that <see cref="Trap"/> may be called.</summary>
    public bool SendsState { get; }

    /// <summary>The bytes of all messages so far, both ways. Any thread.</summary>
    public long Bytes => Ordered.Load(ref _bytes);

    /// <summary>The socket's descriptor. If it is readable while no call is in progress, the server has disconnected.</summary>
    public SafeHandle Handle => _connection.Handle;

    /// <summary>DEVICE_GET_INFO.</summary>
    /// <exception cref="IOException">The server has disconnected.</exception>
    /// <exception cref="VfioUserException">It refused.</exception>
    public VfioDeviceInfo GetInfo()
    {
        lock (_lock)
        {
            MemoryMarshal.Write(Payload, new DeviceInfoPayload { ArgSize = DeviceInfoPayload.Bytes });
            var info = Exchange<DeviceInfoPayload>(VfioUserCommand.DeviceGetInfo, DeviceInfoPayload.Bytes);
            return new VfioDeviceInfo(
                (info.Flags & DeviceInfoPayload.IsPci) != 0, (info.Flags & DeviceInfoPayload.CanReset) != 0, (int)info.RegionCount, (int)info.IrqCount);
        }
    }

    /// <summary>DEVICE_GET_REGION_INFO.</summary>
    /// <exception cref="IOException">The server has disconnected.</exception>
    /// <exception cref="VfioUserException">It refused.</exception>
    public VfioRegionInfo GetRegionInfo(int region)
    {
        lock (_lock)
        {
            MemoryMarshal.Write(Payload, new RegionInfoPayload { ArgSize = RegionInfoPayload.Bytes, Index = (uint)region });
            var info = Exchange<RegionInfoPayload>(VfioUserCommand.DeviceGetRegionInfo, RegionInfoPayload.Bytes);
            return new VfioRegionInfo(info.Flags & (VfioRegionFlags.Read | VfioRegionFlags.Write), info.Size);
        }
    }

    /// <summary>DEVICE_GET_IRQ_INFO.</summary>
    /// <exception cref="IOException">The server has disconnected.</exception>
    /// <exception cref="VfioUserException">It refused.</exception>
    public VfioIrqInfo GetIrqInfo(int irq)
    {
        lock (_lock)
        {
            MemoryMarshal.Write(Payload, new IrqInfoPayload { ArgSize = IrqInfoPayload.Bytes, Index = (uint)irq });
            var info = Exchange<IrqInfoPayload>(VfioUserCommand.DeviceGetIrqInfo, IrqInfoPayload.Bytes);
            return new VfioIrqInfo(info.Flags, info.Count);
        }
    }

    /// <summary>DMA_MAP: lets the device access a part of a file.</summary>
    /// <param name="address">The first DMA address.</param>
    /// <param name="size">The size in bytes.</param>
    /// <param name="fileOffset">The offset in the file.</param>
    /// <param name="file">The file; stays the caller's.</param>
    /// <param name="writable">Whether the device may write; if not, the file may be open for reading only.</param>
    /// <exception cref="IOException">The server has disconnected.</exception>
    /// <exception cref="VfioUserException">It refused.</exception>
    public void MapMemory(ulong address, ulong size, ulong fileOffset, SafeFileHandle file, bool writable = true)
    {
        lock (_lock)
        {
            MemoryMarshal.Write(Payload, new DmaMapRequest
            {
                ArgSize = DmaMapRequest.Bytes,
                Flags = DmaMapRequest.Readable | (writable ? DmaMapRequest.Writable : 0),
                FileOffset = fileOffset,
                Address = address,
                Size = size,
            });
            Exchange(VfioUserCommand.DmaMap, DmaMapRequest.Bytes, file);
        }
    }

    /// <summary>DMA_UNMAP: removes exactly one mapped range. When it returns, the device no longer accesses it.</summary>
    /// <exception cref="IOException">The server has disconnected.</exception>
    /// <exception cref="VfioUserException">It refused.</exception>
    public void UnmapMemory(ulong address, ulong size)
    {
        lock (_lock)
        {
            MemoryMarshal.Write(Payload, new DmaUnmapRequest { ArgSize = DmaUnmapRequest.Bytes, Address = address, Size = size });
            Exchange(VfioUserCommand.DmaUnmap, DmaUnmapRequest.Bytes);
        }
    }

    /// <summary>DEVICE_SET_IRQS: sets or removes the eventfd of an interrupt.</summary>
    /// <param name="irq">One of <see cref="VfioPciIrq"/>.</param>
    /// <param name="target">The eventfd, which stays the caller's; null disables the interrupt.</param>
    /// <exception cref="IOException">The server has disconnected.</exception>
    /// <exception cref="VfioUserException">It refused.</exception>
    public void SetInterrupt(int irq, EventFd? target)
    {
        var data = target is null ? IrqSetFlags.DataNone : IrqSetFlags.DataEventFd;
        SetIrqs(irq, data | IrqSetFlags.Trigger, target is null ? 0u : 1u, target?.Handle);
    }

    /// <summary>DEVICE_SET_IRQS: unmasks INTx, which is signalled again if it is still asserted.</summary>
    /// <exception cref="IOException">The server has disconnected.</exception>
    /// <exception cref="VfioUserException">It refused.</exception>
    public void Unmask(int irq) => SetIrqs(irq, IrqSetFlags.DataNone | IrqSetFlags.Unmask, 1, null);

    /// <summary>REGION_READ.</summary>
    /// <param name="region">The region.</param>
    /// <param name="offset">The offset in the region.</param>
    /// <param name="data">Receives the data.</param>
    /// <exception cref="IOException">The server has disconnected.</exception>
    /// <exception cref="VfioUserException">It refused.</exception>
    public void ReadRegion(int region, ulong offset, Span<byte> data)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(data.Length, _maxDataBytes, nameof(data));
        lock (_lock)
        {
            MemoryMarshal.Write(Payload, new RegionAccess { Offset = offset, Region = (uint)region, Count = (uint)data.Length });
            var reply = Exchange(VfioUserCommand.RegionRead, RegionAccess.Bytes);
            if (reply.Length != RegionAccess.Bytes + data.Length) throw Broken($"it answered a read of {data.Length} bytes with {reply.Length - RegionAccess.Bytes}");
            reply[RegionAccess.Bytes..].CopyTo(data);
        }
    }

    /// <summary>REGION_WRITE; returns when the device has carried it out.</summary>
    /// <param name="region">The region.</param>
    /// <param name="offset">The offset in the region.</param>
    /// <param name="data">The data to write.</param>
    /// <exception cref="IOException">The server has disconnected.</exception>
    /// <exception cref="VfioUserException">It refused.</exception>
    public void WriteRegion(int region, ulong offset, ReadOnlySpan<byte> data)
    {
        lock (_lock) Exchange(VfioUserCommand.RegionWrite, PutWrite(region, offset, data));
    }

    /// <summary>REGION_WRITE without a reply: carried out before the next request; a failure is not reported ("Command Concurrency").</summary>
    /// <exception cref="IOException">The server has disconnected.</exception>
    public void PostRegion(int region, ulong offset, ReadOnlySpan<byte> data)
    {
        lock (_lock) SendRequest(VfioUserCommand.RegionWrite, PutWrite(region, offset, data), VfioUserFlags.NoReply);
    }

    /// <summary>
    /// An access with the state of the processor that is suspended at it. Only if <see cref="SendsState"/>. An answer that is
    /// late, repeated or names another exit is dropped and ends the session.
    /// </summary>
    /// <param name="access">The access.</param>
    /// <returns>The answer, which the caller checks: it may name any register and any value.</returns>
    /// <exception cref="IOException">The server has disconnected, or its answer is invalid.</exception>
    /// <exception cref="VfioUserException">It answered with a fault, or refused.</exception>
    public TrapAnswer Trap(in TrappedAccess access)
    {
        lock (_lock)
        {
            MemoryMarshal.Write(Payload, access);
            var reply = Exchange(VfioUserCommand.Trap, TrappedAccess.SizeInBytes);
            if (!TrapAnswer.TryRead(reply, out var answer)) throw Broken($"it answered an access with {reply.Length} bytes that are no answer");
            if (!answer.Answers(access))
            {
                throw Broken($"it answered exit {answer.Sequence} of processor {answer.Processor} of partition {answer.Partition} instead of exit {access.Sequence}"
                    + $" of processor {access.Processor} of partition {access.Partition}");
            }
            return answer.Action switch
            {
                TrapAction.Resume => answer,
                TrapAction.Fault => throw new VfioUserException($"the device at {_path} refused the access (errno {answer.Errno})", (int)answer.Errno),
                _ => throw Broken($"it answered an access with action {(uint)answer.Action}"),
            };
        }
    }

    /// <summary>DEVICE_RESET. When it returns, no earlier command is in flight.</summary>
    /// <exception cref="IOException">The server has disconnected.</exception>
    /// <exception cref="VfioUserException">It refused.</exception>
    public void Reset()
    {
        lock (_lock) Exchange(VfioUserCommand.DeviceReset, 0);
    }

    /// <summary>Shuts the connection down; a call in progress on another thread throws. Any thread.</summary>
    public void Shutdown() => _connection.Shutdown();

    /// <inheritdoc/>
    public void Dispose() => _connection.Dispose();

    private Span<byte> Payload => _request.AsSpan(VfioUserHeader.HeaderBytes);

    private void SetIrqs(int irq, IrqSetFlags flags, uint count, SafeHandle? descriptor)
    {
        lock (_lock)
        {
            MemoryMarshal.Write(Payload, new IrqSetRequest { ArgSize = IrqSetRequest.Bytes, Flags = flags, Index = (uint)irq, Count = count });
            Exchange(VfioUserCommand.DeviceSetIrqs, IrqSetRequest.Bytes, descriptor);
        }
    }

    private int PutWrite(int region, ulong offset, ReadOnlySpan<byte> data)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(data.Length, _maxDataBytes, nameof(data));
        MemoryMarshal.Write(Payload, new RegionAccess { Offset = offset, Region = (uint)region, Count = (uint)data.Length });
        data.CopyTo(Payload[RegionAccess.Bytes..]);
        return RegionAccess.Bytes + data.Length;
    }

    private T Exchange<T>(VfioUserCommand command, int payloadBytes) where T : unmanaged
    {
        var reply = Exchange(command, payloadBytes);
        return MemoryMarshal.TryRead<T>(reply, out var value) ? value : throw Broken($"it answered {command} with only {reply.Length} bytes");
    }

    private ReadOnlySpan<byte> Exchange(VfioUserCommand command, int payloadBytes, SafeHandle? descriptor = null)
    {
        SendRequest(command, payloadBytes, VfioUserFlags.Command, descriptor);
        VfioUserHeader header;
        try
        {
            if (!_connection.Receive(out header)) throw Broken("it closed the connection");
            CheckReply(command, header);
            Ordered.Store(ref _bytes, _bytes + header.Size);
            var reply = _reply.AsSpan(0, (int)header.Size - VfioUserHeader.HeaderBytes);
            if (!_connection.Receive(reply)) throw Broken("it closed the connection");
            _connection.Descriptors.CloseAll();
            // Unsolicited, and invisible to a caller that waits on the handle: these bytes have left the socket.
            if (_connection.HasMore) throw Broken("it sent more than the reply");
            if ((header.Flags & VfioUserFlags.Error) != 0) throw new VfioUserException($"the device at {_path} refused {command} (errno {header.Error})", (int)header.Error);
            return reply;
        }
        catch (Exception e) when (_broken is null && e is ObjectDisposedException or IOException and not VfioUserException)
        {
            throw Broken(e.Message, e);
        }
    }

    private void CheckReply(VfioUserCommand command, in VfioUserHeader header)
    {
        if ((header.Flags & VfioUserFlags.TypeMask) != VfioUserFlags.Reply) throw Broken($"it sent a message of flags {(uint)header.Flags:x} instead of a reply");
        if (header.Id != _id || header.Command != command) throw Broken($"it answered message {header.Id} (command {(ushort)header.Command}) instead of {_id} ({command})");
        if (header.Size is < VfioUserHeader.HeaderBytes or > VfioUserHeader.MaxMessageBytes) throw Broken($"it sent a reply of {header.Size} bytes");
    }

    private void SendRequest(VfioUserCommand command, int payloadBytes, VfioUserFlags flags, SafeHandle? descriptor = null)
    {
        if (_broken is not null) throw new IOException(_broken);
        var bytes = VfioUserHeader.HeaderBytes + payloadBytes;
        Ordered.Store(ref _bytes, _bytes + bytes);
        MemoryMarshal.Write(_request, new VfioUserHeader { Id = ++_id, Command = command, Size = (uint)bytes, Flags = flags });
        try
        {
            if (descriptor is null) _connection.Send(_request.AsSpan(0, bytes));
            else _connection.Send(_request.AsSpan(0, bytes), [descriptor]);
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            throw Broken(e.Message, e);
        }
    }

    // Hangs up, so that the server stops the device: nothing that it still sends is for anyone.
    private IOException Broken(string why, Exception? cause = null)
    {
        _broken ??= $"the device at {_path} is lost: {why}";
        _connection.Shutdown();
        return new IOException(_broken, cause);
    }
}
