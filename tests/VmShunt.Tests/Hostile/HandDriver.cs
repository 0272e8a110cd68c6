using System.Runtime.InteropServices;
using VmShunt.Ring.Interop;
using VmShunt.Ring.VhostUser;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Ring.Virtqueue;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Hostile;

/// <summary>
/// A front-end and driver of VM-H's virtio-blk device that does what a test says, valid or not. It has one ring, in a memory
/// of two adjacent regions, a hole, and a third region.
/// </summary>
internal sealed class HandDriver : IDisposable
{
    private const ulong ProtocolFeatures = 1UL << 30;

    /// <summary>The size of a region, and of the hole.</summary>
    internal const int RegionBytes = 1 << 23;

    /// <summary>The addresses of the regions and of the hole between them.</summary>
    internal const ulong First = TestMemory.Start, Second = First + RegionBytes, Hole = Second + RegionBytes, Last = Hole + RegionBytes, End = Last + RegionBytes;

    /// <summary>The addresses of a request's parts.</summary>
    internal const ulong Header = First + 0x4000, Status = First + 0x5000, Ranges = First + 0x6000, Data = First + 0x10_0000;

    /// <summary>The status byte before the device writes it.</summary>
    internal const byte NoStatus = 0xfe;

    private readonly VhostUserConnection _raw;
    private readonly WaitSet _events;

    internal HandDriver(UnixConnection socket, bool packed, VirtioBlkFeatures without = 0)
    {
        IsPacked = packed;
        Ring = HandRing.Create(Ram, packed);
        _raw = new VhostUserConnection(socket);
        _events = new WaitSet(Call.Handle, Error.Handle);
        without |= packed ? 0 : VirtioBlkFeatures.PackedRing;
        Frontend = VhostUserFrontend.Open(socket, ~(ProtocolFeatures | (ulong)(without | VirtioBlkFeatures.EventIndex)), (ulong)VirtioBlkFeatures.Version1);
        Frontend.ShareMemory([(First, RegionBytes, 0), (Second, RegionBytes, RegionBytes), (Last, RegionBytes, 3 * RegionBytes)], Ram.File);
    }

    internal bool IsPacked { get; }

    internal TestMemory Ram { get; } = new(4 * RegionBytes);

    internal HandRing Ring { get; }

    internal VhostUserFrontend Frontend { get; }

    internal EventFd Kick { get; } = EventFd.Create();

    internal EventFd Call { get; } = EventFd.Create();

    internal EventFd Error { get; } = EventFd.Create();

    internal ulong Sectors { get; private set; }

    /// <summary>Starts a new ring.</summary>
    internal HandDriver Start()
    {
        Ring.Clear();
        while (Call.TryDrain() | Error.TryDrain())
        {
        }
        Assert.True(Ask(VhostUserRequest.SetVringErr, 0ul, Error.Handle));
        Frontend.StartRing(0, HandRing.Size, Ring.Start, HandRing.Descriptors, HandRing.Driver, HandRing.Device, Kick, Call);
        Span<byte> capacity = stackalloc byte[8];
        Assert.True(Frontend.TryReadConfig(capacity));
        Sectors = MemoryMarshal.Read<ulong>(capacity);
        return this;
    }

    /// <summary>Stops the ring and sets it up again, as a broken queue needs it.</summary>
    internal void Restart()
    {
        Frontend.StopRing(0);
        Start();
    }

    /// <summary>Sends a message with NEED_REPLY.</summary>
    /// <returns>Whether the back-end accepted it.</returns>
    internal bool Ask<T>(VhostUserRequest request, T payload, params ReadOnlySpan<SafeHandle> descriptors) where T : unmanaged =>
        Ask(request, MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in payload)), descriptors);

    internal bool Ask(VhostUserRequest request, ReadOnlySpan<byte> payload, params ReadOnlySpan<SafeHandle> descriptors)
    {
        _raw.Send(request, VhostUserHeader.NeedReply, payload, descriptors);
        Assert.True(_raw.Receive(), $"the session ended at {request}");
        return _raw.PayloadAs<ulong>() == 0;
    }

    internal bool AskRing(VhostUserRequest request, uint value) => Ask(request, new VringState { Value = value });

    /// <summary>Writes a header and an untouched status.</summary>
    internal void Prepare(VirtioBlkRequestType type, ulong sector)
    {
        Assert.True(Ram.Memory.TryWrite(Header, new VirtioBlkRequestHeader { Type = type, Sector = sector }));
        Assert.True(Ram.Memory.TryWrite(Status, NoStatus));
    }

    /// <summary>Makes a request available: header, the pieces, status; and kicks.</summary>
    internal void Request(VirtioBlkRequestType type, ulong sector, params ReadOnlySpan<Piece> pieces)
    {
        Prepare(type, sector);
        Offer([new(Header, VirtioBlkRequestHeader.Bytes), .. pieces, new(Status, 1, DescriptorFlags.Write)]);
    }

    internal void Offer(params ReadOnlySpan<Piece> chain)
    {
        Ring.Offer(chain);
        Kick.Signal();
    }

    /// <summary>As <see cref="Request"/>, in an indirect table.</summary>
    internal void RequestIndirect(VirtioBlkRequestType type, ulong sector, params ReadOnlySpan<Piece> pieces)
    {
        Prepare(type, sector);
        Offer(Ring.Indirect([new(Header, VirtioBlkRequestHeader.Bytes), .. pieces, new(Status, 1, DescriptorFlags.Write)]));
    }

    /// <summary>Waits for the next completion; null when the device signals a broken ring.</summary>
    internal uint? Complete()
    {
        while (true)
        {
            if (Ring.TryPopUsed(out _, out var written)) return written;
            Assert.True(_events.Wait(60_000), "the device neither completes nor signals an error");
            Call.TryDrain();
            if (Error.TryDrain()) return Ring.TryPopUsed(out _, out written) ? written : null;
        }
    }

    internal VirtioBlkStatus StatusByte => (VirtioBlkStatus)Ram.Span(Status, 1)[0];

    /// <summary>A well-formed request succeeds.</summary>
    internal void AssertWell()
    {
        Ram.Span(Data, 512).Fill(0x77);
        Request(VirtioBlkRequestType.In, Sectors - 1, new Piece(Data, 512, DescriptorFlags.Write));
        Assert.Equal((513u, VirtioBlkStatus.Ok), (Complete(), StatusByte));
        Assert.Equal(-1, Ram.Span(Data, 512).IndexOfAnyExcept((byte)0xab));
    }

    public void Dispose()
    {
        Frontend.Dispose();
        _events.Dispose();
        Kick.Dispose();
        Call.Dispose();
        Error.Dispose();
        Ram.Dispose();
    }
}
