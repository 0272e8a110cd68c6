using System.Runtime.InteropServices;
using VmShunt.Ring.Interop;
using VmShunt.Trap.VmExit;

namespace VmShunt.Trap.VfioUser;

/// <summary>
/// One client's connection to one device: carries commands out in order and replies to each ("Command Concurrency"). An
/// invalid command gets an error reply; a message after which the next one cannot be found closes the connection. Region
/// accesses allocate nothing.
/// </summary>
public sealed class VfioUserSession : IDisposable
{
    private readonly FramedConnection _connection;
    private readonly IVfioUserDevice _device;
    private readonly VfioInterrupt _interrupt;
    private readonly DmaTable _dma;
    private readonly byte[] _request = new byte[VfioUserHeader.MaxMessageBytes];
    private readonly byte[] _reply = new byte[VfioUserHeader.MaxMessageBytes];
    private bool _takesState;

    /// <summary>Takes ownership of the connection and the device.</summary>
    /// <param name="connection">A connected socket.</param>
    /// <param name="create">Creates the device for this client.</param>
    public VfioUserSession(UnixConnection connection, Func<VfioInterrupt, IVfioUserDevice> create)
    {
        _connection = new FramedConnection(connection, readAhead: true);
        _interrupt = new VfioInterrupt();
        _device = create(_interrupt);
        _dma = new DmaTable(_device, connection.Handle);
    }

    /// <summary>Serves the client on the calling thread until it disconnects.</summary>
    /// <exception cref="IOException">The connection failed, or the client violated the protocol; the message says how.</exception>
    public void Run()
    {
        var versionKnown = false;
        while (_connection.Receive(out VfioUserHeader header))
        {
            if (header.Size is < VfioUserHeader.HeaderBytes or > VfioUserHeader.MaxMessageBytes)
                throw new IOException($"the client sent a message of {header.Size} bytes, not 16 to {VfioUserHeader.MaxMessageBytes}");
            if ((header.Flags & VfioUserFlags.TypeMask) != VfioUserFlags.Command)
                throw new IOException($"the client sent a message with flags 0x{(uint)header.Flags:x}, which is no command");
            var payload = _request.AsSpan(0, (int)header.Size - VfioUserHeader.HeaderBytes);
            if (!_connection.Receive(payload)) throw new IOException("the client closed the connection inside a message");
            if (versionKnown == (header.Command == VfioUserCommand.Version))
                throw new IOException(versionKnown ? "the client sent VERSION twice" : $"the client sent command {(ushort)header.Command} before VERSION");
            // A processor stays suspended until its access is answered.
            if (header.Command == VfioUserCommand.Trap && (header.Flags & VfioUserFlags.NoReply) != 0)
                throw new IOException("the client sent an access with its processor's state and asked for no reply");
            var error = Serve(header.Command, payload, out var replyBytes);
            _connection.Descriptors.CloseAll();
            if ((header.Flags & VfioUserFlags.NoReply) == 0) Reply(header, error, replyBytes);
            if (!versionKnown && error != Errno.None) throw new IOException("the client proposed a version that is not supported");
            versionKnown = true;
        }
        if (_dma.WasTruncated) throw new IOException("the client has truncated memory that it shares");
    }

    /// <summary>Makes <see cref="Run"/> return. Any thread.</summary>
    public void Shutdown() => _connection.Shutdown();

    /// <summary>
    /// Unmaps the client's memory, disposes the device, and closes the eventfds and the connection ("Client Disconnection").
    /// Not while <see cref="Run"/> runs.
    /// </summary>
    public void Dispose()
    {
        _dma.Dispose();
        _device.Dispose();
        _interrupt.Dispose();
        _connection.Dispose();
    }

    private Errno Serve(VfioUserCommand command, ReadOnlySpan<byte> payload, out int replyBytes)
    {
        replyBytes = 0;
        return command switch
        {
            VfioUserCommand.Version => Version(payload, out replyBytes),
            VfioUserCommand.DmaMap => DmaMap(payload),
            VfioUserCommand.DmaUnmap => DmaUnmap(payload, out replyBytes),
            VfioUserCommand.DeviceGetInfo => GetInfo(payload, out replyBytes),
            VfioUserCommand.DeviceGetRegionInfo => GetRegionInfo(payload, out replyBytes),
            VfioUserCommand.DeviceGetIrqInfo => GetIrqInfo(payload, out replyBytes),
            VfioUserCommand.DeviceSetIrqs => SetIrqs(payload),
            VfioUserCommand.RegionRead => ReadRegion(payload, out replyBytes),
            VfioUserCommand.RegionWrite => WriteRegion(payload, out replyBytes),
            VfioUserCommand.DeviceReset => Reset(),
            VfioUserCommand.Trap when _takesState => Trap(payload, out replyBytes),
            _ => Errno.ENOTSUP,
        };
    }

    // An error reply is a header only ("Header").
    private void Reply(in VfioUserHeader request, Errno error, int payloadBytes)
    {
        var bytes = VfioUserHeader.HeaderBytes + (error == Errno.None ? payloadBytes : 0);
        var header = new VfioUserHeader
        {
            Id = request.Id,
            Command = request.Command,
            Size = (uint)bytes,
            Flags = error == Errno.None ? VfioUserFlags.Reply : VfioUserFlags.Reply | VfioUserFlags.Error,
            Error = (uint)error,
        };
        MemoryMarshal.Write(_reply, header);
        _connection.Send(_reply.AsSpan(0, bytes));
    }

    private Span<byte> ReplyPayload => _reply.AsSpan(VfioUserHeader.HeaderBytes);

    private Errno Version(ReadOnlySpan<byte> payload, out int replyBytes)
    {
        replyBytes = 0;
        if (!VfioUserVersion.TryRead(payload, out var major, out var minor, out _, out _takesState) || major != VfioUserVersion.Major) return Errno.EINVAL;
        replyBytes = VfioUserVersion.BytesWith(_takesState);
        VfioUserVersion.Write(ReplyPayload, Math.Min(minor, VfioUserVersion.Minor), _takesState);
        return Errno.None;
    }

    private Errno DmaMap(ReadOnlySpan<byte> payload)
    {
        if (!IsWhole(payload, DmaMapRequest.Bytes)) return Errno.EINVAL;
        _connection.Descriptors.TryTake(out var file);
        using (file) return _dma.Map(MemoryMarshal.Read<DmaMapRequest>(payload), file);
    }

    private Errno DmaUnmap(ReadOnlySpan<byte> payload, out int replyBytes)
    {
        replyBytes = DmaUnmapRequest.Bytes;
        if (!IsWhole(payload, DmaUnmapRequest.Bytes)) return Errno.EINVAL;
        payload[..DmaUnmapRequest.Bytes].CopyTo(ReplyPayload);
        return _dma.Unmap(MemoryMarshal.Read<DmaUnmapRequest>(payload));
    }

    private Errno GetInfo(ReadOnlySpan<byte> payload, out int replyBytes)
    {
        replyBytes = DeviceInfoPayload.Bytes;
        if (!IsWhole(payload, DeviceInfoPayload.Bytes)) return Errno.EINVAL;
        MemoryMarshal.Write(ReplyPayload, new DeviceInfoPayload
        {
            ArgSize = DeviceInfoPayload.Bytes,
            Flags = DeviceInfoPayload.CanReset | DeviceInfoPayload.IsPci,
            RegionCount = (uint)_device.Regions.Count,
            IrqCount = (uint)_device.Irqs.Count,
        });
        return Errno.None;
    }

    private Errno GetRegionInfo(ReadOnlySpan<byte> payload, out int replyBytes)
    {
        replyBytes = RegionInfoPayload.Bytes;
        if (!IsWhole(payload, RegionInfoPayload.Bytes)) return Errno.EINVAL;
        var index = MemoryMarshal.Read<RegionInfoPayload>(payload).Index;
        if (index >= (uint)_device.Regions.Count) return Errno.EINVAL;
        var region = _device.Regions[(int)index];
        MemoryMarshal.Write(ReplyPayload, new RegionInfoPayload { ArgSize = RegionInfoPayload.Bytes, Flags = region.Flags, Index = index, Size = region.Size });
        return Errno.None;
    }

    private Errno GetIrqInfo(ReadOnlySpan<byte> payload, out int replyBytes)
    {
        replyBytes = IrqInfoPayload.Bytes;
        if (!IsWhole(payload, IrqInfoPayload.Bytes)) return Errno.EINVAL;
        var index = MemoryMarshal.Read<IrqInfoPayload>(payload).Index;
        if (index >= (uint)_device.Irqs.Count) return Errno.EINVAL;
        var irq = _device.Irqs[(int)index];
        MemoryMarshal.Write(ReplyPayload, new IrqInfoPayload { ArgSize = IrqInfoPayload.Bytes, Flags = irq.Flags, Index = index, Count = irq.Count });
        return Errno.None;
    }

    private Errno SetIrqs(ReadOnlySpan<byte> payload)
    {
        if (!IsWhole(payload, IrqSetRequest.Bytes)) return Errno.EINVAL;
        var set = MemoryMarshal.Read<IrqSetRequest>(payload);
        if (set.Index >= (uint)Math.Min(_device.Irqs.Count, VfioPciIrq.Count)) return Errno.EINVAL;
        var vectors = _device.Irqs[(int)set.Index].Count;
        if (set.Start >= vectors || set.Count > vectors - set.Start) return Errno.EINVAL;
        return Apply(set, payload[IrqSetRequest.Bytes..]);
    }

    // argsz counts what follows the header, for the request and for the reply that the client has room for; both may be longer.
    private static bool IsWhole(ReadOnlySpan<byte> payload, int bytes) => payload.Length >= bytes && MemoryMarshal.Read<uint>(payload) >= bytes;

    private Errno Apply(in IrqSetRequest set, ReadOnlySpan<byte> data)
    {
        var index = (int)set.Index;
        var dataType = set.Flags & IrqSetFlags.DataMask;
        var action = set.Flags & IrqSetFlags.ActionMask;
        if (set.Flags != (dataType | action)) return Errno.EINVAL;
        if (dataType is not (IrqSetFlags.DataNone or IrqSetFlags.DataBool or IrqSetFlags.DataEventFd)) return Errno.EINVAL;
        if (action is not (IrqSetFlags.Mask or IrqSetFlags.Unmask or IrqSetFlags.Trigger)) return Errno.EINVAL;
        if (index is VfioPciIrq.Error or VfioPciIrq.Request && action != IrqSetFlags.Trigger) return Errno.EINVAL;
        // No vector: only "disable the interrupt".
        if (set.Count == 0 && (action != IrqSetFlags.Trigger || dataType != IrqSetFlags.DataNone)) return Errno.EINVAL;
        var descriptors = _connection.Descriptors.Count;
        if (descriptors != 0 && (dataType != IrqSetFlags.DataEventFd || descriptors != set.Count)) return Errno.EINVAL;
        if (dataType == IrqSetFlags.DataEventFd)
        {
            if (action != IrqSetFlags.Trigger) return Errno.ENOTSUP;
            _connection.Descriptors.TryTake(out var descriptor);
            EventFd? eventFd = null;
            if (descriptor is not null && !EventFd.TryFromPeer(descriptor, out eventFd)) return Errno.EINVAL;
            _interrupt.SetEvent(index, eventFd);
            return Errno.None;
        }
        if (dataType == IrqSetFlags.DataBool && (uint)data.Length != set.Count) return Errno.EINVAL;
        var chosen = set.Count > 0 && (dataType == IrqSetFlags.DataNone || data[0] != 0);
        switch (action)
        {
            case IrqSetFlags.Trigger when set.Count == 0 && dataType == IrqSetFlags.DataNone:
                _interrupt.SetEvent(index, null);
                return Errno.None;
            case IrqSetFlags.Trigger:
                if (chosen) _interrupt.Trigger(index);
                return Errno.None;
            case IrqSetFlags.Mask:
                if (chosen) _interrupt.Mask(index);
                return Errno.None;
            default:
                if (chosen) _interrupt.Unmask(index);
                return Errno.None;
        }
    }

    private Errno ReadRegion(ReadOnlySpan<byte> payload, out int replyBytes)
    {
        replyBytes = 0;
        if (payload.Length != RegionAccess.Bytes || !TryCheck(payload, VfioRegionFlags.Read, out var access)) return Errno.EINVAL;
        replyBytes = RegionAccess.Bytes + (int)access.Count;
        payload.CopyTo(ReplyPayload);
        return _device.ReadRegion((int)access.Region, access.Offset, ReplyPayload[RegionAccess.Bytes..replyBytes]) ? Errno.None : Errno.EIO;
    }

    private Errno WriteRegion(ReadOnlySpan<byte> payload, out int replyBytes)
    {
        replyBytes = RegionAccess.Bytes;
        if (payload.Length < RegionAccess.Bytes || !TryCheck(payload, VfioRegionFlags.Write, out var access)) return Errno.EINVAL;
        var data = payload[RegionAccess.Bytes..];
        if ((uint)data.Length != access.Count) return Errno.EINVAL;
        payload[..RegionAccess.Bytes].CopyTo(ReplyPayload);
        return _device.WriteRegion((int)access.Region, access.Offset, data) ? Errno.None : Errno.EIO;
    }

    private Errno Trap(ReadOnlySpan<byte> payload, out int replyBytes)
    {
        replyBytes = 0;
        if (payload.Length != TrappedAccess.SizeInBytes) return Errno.EINVAL;
        var access = MemoryMarshal.Read<TrappedAccess>(payload);
        var needed = access.Reason == ExitReason.MmioRead ? VfioRegionFlags.Read : VfioRegionFlags.Write;
        if (!TrapDecision.IsValid(access) || !IsInRegion(access.Region, access.Offset, access.Size, needed)) return Errno.EINVAL;
        var answer = TrapDecision.Decide(_device, access);
        replyBytes = answer.Write(ReplyPayload);
        return Errno.None;
    }

    private bool TryCheck(ReadOnlySpan<byte> payload, VfioRegionFlags needed, out RegionAccess access)
    {
        access = MemoryMarshal.Read<RegionAccess>(payload);
        return access.Count is > 0 and <= VfioUserHeader.MaxDataBytes && IsInRegion(access.Region, access.Offset, access.Count, needed);
    }

    private bool IsInRegion(uint index, ulong offset, uint count, VfioRegionFlags needed)
    {
        if (index >= (uint)_device.Regions.Count) return false;
        var region = _device.Regions[(int)index];
        return (region.Flags & needed) != 0 && offset <= region.Size && count <= region.Size - offset;
    }

    private Errno Reset()
    {
        _device.Reset();
        return Errno.None;
    }
}
