using System.Runtime.InteropServices;
using VmShunt.Ring.Interop;
using VmShunt.Ring.VhostUser;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Ring.Virtqueue;
using VmShunt.Tests.Hostile;

namespace VmShunt.Tests.Doubles;

/// <summary>
/// A guest behind a front-end that speaks message by message, as front-ends of other projects do. Its memory and ring
/// outlive a session; its own addresses are not the guest's.
/// </summary>
internal sealed class SpokenGuest : IDisposable
{
    private const ulong UserBase = 0x7f12_0000_0000;
    private const ulong Header = TestMemory.Start + 0x4000, Status = TestMemory.Start + 0x5000, Data = TestMemory.Start + DataOffset;

    /// <summary>Where, in the guest's memory, the rings end and data starts.</summary>
    internal const int DataOffset = 0x8_0000, RamBytes = 1 << 20;

    private readonly TestMemory _ram = new(RamBytes);
    private readonly EventFd _kick = EventFd.Create(), _call = EventFd.Create(), _error = EventFd.Create();
    private readonly WaitSet _events;
    private HandRing _ring;
    private VhostUserConnection? _connection;

    internal SpokenGuest()
    {
        _events = new WaitSet(_call.Handle);
        _ring = HandRing.Create(_ram, packed: false);
    }

    /// <summary>The messages that this front-end wants acknowledged.</summary>
    internal HashSet<VhostUserRequest> Acknowledged { get; } = [];

    internal VhostUserConnection Connection => _connection!;

    internal SafeHandle Call => _call.Handle;

    internal SafeHandle Error => _error.Handle;

    /// <summary>Leaves the session, waits until the back-end has let go, and takes another.</summary>
    internal void Connect(UnixConnection socket)
    {
        if (_connection is { } last)
        {
            last.Socket.ShutdownSend();
            Assert.False(last.Receive());
            last.Dispose();
        }
        _connection = new VhostUserConnection(socket);
    }

    /// <summary>What a driver that starts does: a clean ring.</summary>
    internal void NewRing(bool packed)
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

    internal void Say(VhostUserRequest request, ReadOnlySpan<byte> payload, params ReadOnlySpan<SafeHandle> descriptors)
    {
        var acknowledged = Acknowledged.Contains(request);
        Connection.Send(request, acknowledged ? VhostUserHeader.NeedReply : 0, payload, descriptors);
        if (!acknowledged) return;
        Assert.True(Connection.Receive(), $"the session ended at {request}");
        Assert.Equal((request, 0ul), (Connection.Header.Request, Connection.PayloadAs<ulong>()));
    }

    internal void Say<T>(VhostUserRequest request, T payload, params ReadOnlySpan<SafeHandle> descriptors) where T : unmanaged =>
        Say(request, MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in payload)), descriptors);

    internal void SayRing(VhostUserRequest request, uint index, uint value) => Say(request, new VringState { Index = index, Value = value });

    internal byte[] GetConfig(uint offset, uint size, uint flags = 0)
    {
        var payload = new byte[VhostUserConfigHeader.Bytes + size];
        MemoryMarshal.Write(payload, new VhostUserConfigHeader { Offset = offset, Size = size });
        var reply = Query(VhostUserRequest.GetConfig, payload, flags);
        Assert.Equal(payload.Length, reply.Length);
        return reply[VhostUserConfigHeader.Bytes..];
    }

    /// <summary>Shares a stretch of the guest's memory.</summary>
    internal void AddMemory(ulong offset, ulong bytes)
    {
        var payload = new byte[8 + VhostUserMemoryRegion.Bytes];
        MemoryMarshal.Write(payload.AsSpan(8), Region(offset, bytes));
        Say(VhostUserRequest.AddMemReg, payload, _ram.File);
    }

    /// <summary>Shares all of it, in a table.</summary>
    internal void SetMemoryTable()
    {
        var payload = new byte[8 + VhostUserMemoryRegion.Bytes];
        MemoryMarshal.Write(payload, 1u);
        MemoryMarshal.Write(payload.AsSpan(8), Region(0, RamBytes));
        Say(VhostUserRequest.SetMemTable, payload, _ram.File);
    }

    private static VhostUserMemoryRegion Region(ulong offset, ulong bytes) =>
        new() { GuestAddress = TestMemory.Start + offset, Size = bytes, UserAddress = UserBase + offset, FileOffset = offset };

    internal void SayRingAddress() => Say(VhostUserRequest.SetVringAddr, new VringAddress
    {
        Descriptors = HandRing.Descriptors - TestMemory.Start + UserBase,
        Available = HandRing.Driver - TestMemory.Start + UserBase,
        Used = HandRing.Device - TestMemory.Start + UserBase,
    });

    internal uint RingStart => _ring.Start;

    internal void SayKick() => Say(VhostUserRequest.SetVringKick, 0ul, _kick.Handle);

    internal VringState Stop()
    {
        var state = default(VringState);
        return MemoryMarshal.Read<VringState>(Query(VhostUserRequest.GetVringBase, MemoryMarshal.AsBytes(new ReadOnlySpan<VringState>(in state))));
    }

    /// <summary>Makes a read of a sector available.</summary>
    internal void Offer()
    {
        _ram.Span(Data, 512).Clear();
        Assert.True(_ram.Memory.TryWrite(Header, new VirtioBlkRequestHeader { Type = VirtioBlkRequestType.In, Sector = 7 }));
        Assert.True(_ram.Memory.TryWrite(Status, HandDriver.NoStatus));
        _ring.Offer([new(Header, VirtioBlkRequestHeader.Bytes), new(Data, 512, DescriptorFlags.Write), new(Status, 1, DescriptorFlags.Write)]);
        _kick.Signal();
    }

    internal bool TryTakeUsed(out uint written) => _ring.TryTakeUsed(out _, out written);

    /// <summary>The read that was offered is done; the guest is called, or looks for itself.</summary>
    internal void AssertDone(bool polls = false)
    {
        var written = 0u;
        if (polls) Assert.True(SpinWait.SpinUntil(() => TryTakeUsed(out written), 60_000), "the device does not complete");
        while (!polls && !TryTakeUsed(out written))
        {
            Assert.True(_events.Wait(60_000), "the device does not complete");
            _call.TryDrain();
        }
        Assert.Equal((513u, (byte)VirtioBlkStatus.Ok), (written, _ram.Span(Status, 1)[0]));
        Assert.Equal(-1, _ram.Span(Data, 512).IndexOfAnyExcept((byte)0xab));
    }

    internal void AssertServed()
    {
        Offer();
        AssertDone();
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
