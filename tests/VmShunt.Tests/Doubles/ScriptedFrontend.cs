using System.Runtime.InteropServices;
using VmShunt.Ring.Interop;
using VmShunt.Ring.VhostUser;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Ring.Virtqueue;
using VmShunt.Tests.Hostile;

namespace VmShunt.Tests.Doubles;

/// <summary>
/// A guest with a vhost-user front-end that sends single messages, as front-ends of other projects do. Its memory and ring
/// outlive a session; user addresses differ from guest addresses.
/// </summary>
internal sealed class ScriptedFrontend : IDisposable
{
    private const ulong UserBase = 0x7f12_0000_0000;
    private const ulong Header = TestMemory.Start + 0x4000, Status = TestMemory.Start + 0x5000, Data = TestMemory.Start + DataOffset;

    /// <summary>The offset in guest memory where the rings end and data starts.</summary>
    internal const int DataOffset = 0x8_0000, RamBytes = 1 << 20;

    private readonly TestMemory _ram = new(RamBytes);
    private readonly EventFd _kick = EventFd.Create(), _call = EventFd.Create(), _error = EventFd.Create();
    private readonly WaitSet _events;
    private HandRing _ring;
    private VhostUserConnection? _connection;

    internal ScriptedFrontend()
    {
        _events = new WaitSet(_call.Handle);
        _ring = HandRing.Create(_ram, packed: false);
    }

    /// <summary>The messages for which this front-end requests a reply (REPLY_ACK).</summary>
    internal HashSet<VhostUserRequest> Acknowledged { get; } = [];

    internal VhostUserConnection Connection => _connection!;

    internal SafeHandle Call => _call.Handle;

    internal SafeHandle Error => _error.Handle;

    /// <summary>Closes the session, waits until the back-end has closed it too, and opens another.</summary>
    internal void Connect(UnixConnection socket)
    {
        Disconnect();
        _connection = new VhostUserConnection(socket);
    }

    /// <summary>Closes the session, and waits until the back-end has closed it too.</summary>
    internal void Disconnect()
    {
        if (_connection is not { } last) return;
        last.Socket.ShutdownSend();
        Assert.False(last.Receive());
        last.Dispose();
        _connection = null;
    }

    /// <summary>Creates an empty ring, as a driver does when it starts.</summary>
    internal void ResetRing(bool packed)
    {
        _ring = HandRing.Create(_ram, packed);
        _ring.Clear();
    }

    internal ulong Query(VhostUserRequest request, uint flags = 0) => MemoryMarshal.Read<ulong>(Query(request, [], flags));

    internal byte[] Query(VhostUserRequest request, ReadOnlySpan<byte> payload, uint flags = 0)
    {
        Connection.Send(request, flags, payload);
        Assert.True(Connection.Receive(), $"the session ended at {request}");
        Assert.Equal((request, VhostUserHeader.Version | VhostUserHeader.Reply), (Connection.Header.Request, Connection.Header.Flags));
        return Connection.Payload.ToArray();
    }

    internal void Send(VhostUserRequest request, ReadOnlySpan<byte> payload, params ReadOnlySpan<SafeHandle> descriptors)
    {
        var acknowledged = Acknowledged.Contains(request);
        Connection.Send(request, acknowledged ? VhostUserHeader.NeedReply : 0, payload, descriptors);
        if (!acknowledged) return;
        Assert.True(Connection.Receive(), $"the session ended at {request}");
        Assert.Equal((request, 0ul), (Connection.Header.Request, Connection.PayloadAs<ulong>()));
    }

    internal void Send<T>(VhostUserRequest request, T payload, params ReadOnlySpan<SafeHandle> descriptors) where T : unmanaged =>
        Send(request, MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in payload)), descriptors);

    internal void SendVringState(VhostUserRequest request, uint index, uint value) => Send(request, new VringState { Index = index, Value = value });

    internal byte[] GetConfig(uint offset, uint size, uint flags = 0)
    {
        var payload = new byte[VhostUserConfigHeader.Bytes + size];
        MemoryMarshal.Write(payload, new VhostUserConfigHeader { Offset = offset, Size = size });
        var reply = Query(VhostUserRequest.GetConfig, payload, flags);
        Assert.Equal(payload.Length, reply.Length);
        return reply[VhostUserConfigHeader.Bytes..];
    }

    /// <summary>Shares a range of guest memory (ADD_MEM_REG).</summary>
    internal void AddMemory(ulong offset, ulong bytes)
    {
        var payload = new byte[8 + VhostUserMemoryRegion.Bytes];
        MemoryMarshal.Write(payload.AsSpan(8), Region(offset, bytes));
        Send(VhostUserRequest.AddMemReg, payload, _ram.File);
    }

    /// <summary>Shares all guest memory (SET_MEM_TABLE).</summary>
    internal void SetMemoryTable()
    {
        var payload = new byte[8 + VhostUserMemoryRegion.Bytes];
        MemoryMarshal.Write(payload, 1u);
        MemoryMarshal.Write(payload.AsSpan(8), Region(0, RamBytes));
        Send(VhostUserRequest.SetMemTable, payload, _ram.File);
    }

    private static VhostUserMemoryRegion Region(ulong offset, ulong bytes) =>
        new() { GuestAddress = TestMemory.Start + offset, Size = bytes, UserAddress = UserBase + offset, FileOffset = offset };

    internal void SendVringAddress() => Send(VhostUserRequest.SetVringAddr, new VringAddress
    {
        Descriptors = HandRing.Descriptors - TestMemory.Start + UserBase,
        Available = HandRing.Driver - TestMemory.Start + UserBase,
        Used = HandRing.Device - TestMemory.Start + UserBase,
    });

    internal uint RingPosition => _ring.Start;

    internal void SendVringKick() => Send(VhostUserRequest.SetVringKick, 0ul, _kick.Handle);

    internal VringState Stop()
    {
        var state = default(VringState);
        return MemoryMarshal.Read<VringState>(Query(VhostUserRequest.GetVringBase, MemoryMarshal.AsBytes(new ReadOnlySpan<VringState>(in state))));
    }

    /// <summary>Makes a read of a sector available and kicks.</summary>
    internal void SubmitRead()
    {
        _ram.Span(Data, 512).Clear();
        Assert.True(_ram.Memory.TryWrite(Header, new VirtioBlkRequestHeader { Type = VirtioBlkRequestType.In, Sector = 7 }));
        Assert.True(_ram.Memory.TryWrite(Status, HandDriver.NoStatus));
        _ring.Offer([new(Header, VirtioBlkRequestHeader.Bytes), new(Data, 512, DescriptorFlags.Write), new(Status, 1, DescriptorFlags.Write)]);
        _kick.Signal();
    }

    /// <summary>Makes a write of a sector available and kicks.</summary>
    internal void SubmitWrite(byte value)
    {
        _ram.Span(Data, 512).Fill(value);
        Assert.True(_ram.Memory.TryWrite(Header, new VirtioBlkRequestHeader { Type = VirtioBlkRequestType.Out, Sector = 7 }));
        Assert.True(_ram.Memory.TryWrite(Status, HandDriver.NoStatus));
        _ring.Offer([new(Header, VirtioBlkRequestHeader.Bytes), new(Data, 512), new(Status, 1, DescriptorFlags.Write)]);
        _kick.Signal();
    }

    /// <summary>Waits until the device has returned the chain.</summary>
    internal VirtioBlkStatus AwaitStatus()
    {
        Assert.True(SpinWait.SpinUntil(() => TryPopUsed(out _), 60_000), "the device does not return the chain");
        return (VirtioBlkStatus)_ram.Span(Status, 1)[0];
    }

    /// <summary>The read's data and status in guest memory.</summary>
    internal (byte Data, byte Status) DataAndStatus
    {
        get => (_ram.Span(Data, 512)[0], _ram.Span(Status, 1)[0]);
        set
        {
            _ram.Span(Data, 512).Fill(value.Data);
            _ram.Span(Status, 1)[0] = value.Status;
        }
    }

    internal bool TryPopUsed(out uint written) => _ring.TryPopUsed(out _, out written);

    /// <summary>Waits for the read's completion, by a call or by polling.</summary>
    internal void AssertCompleted(bool polls = false)
    {
        var written = 0u;
        if (polls) Assert.True(SpinWait.SpinUntil(() => TryPopUsed(out written), 60_000), "the device does not complete the read");
        while (!polls && !TryPopUsed(out written))
        {
            Assert.True(_events.Wait(60_000), "the device does not complete the read");
            _call.TryDrain();
        }
        Assert.Equal((513u, (byte)VirtioBlkStatus.Ok), (written, _ram.Span(Status, 1)[0]));
        Assert.Equal(-1, _ram.Span(Data, 512).IndexOfAnyExcept((byte)0xab));
    }

    internal void AssertServed()
    {
        SubmitRead();
        AssertCompleted();
    }

    public void Dispose()
    {
        _connection?.Dispose();
        _events.Dispose();
        _kick.Dispose();
        _call.Dispose();
        _error.Dispose();
        _ram.Dispose();
    }
}
