using VmShunt.Ring.Interop;
using VmShunt.Ring.VhostUser;
using VmShunt.Ring.Virtqueue;
using VmShunt.Tests.Doubles;
using VmShunt.Tests.Hostile;

namespace VmShunt.Tests.Ring.Serving;

/// <summary>A front-end of a served device, and the driver of its first queue, which does what a test says, valid or not.</summary>
internal sealed class DeviceSession : IDisposable
{
    internal const ulong Text = TestMemory.Start + 0x4000, Answer = TestMemory.Start + 0x5000;

    private const ulong Version1 = 1UL << 32, EventIndex = 1UL << 29, ProtocolFeatures = 1UL << 30, PackedRing = 1UL << 34;

    private readonly VhostUserConnection _raw;
    private readonly WaitSet _events;

    internal DeviceSession(string path, bool packed = false, TestMemory? ram = null)
    {
        Ram = ram ?? new TestMemory(1 << 20);
        Ring = HandRing.Create(Ram, packed);
        _events = new WaitSet(Call.Handle, Error.Handle);
        var socket = UnixConnection.Connect(path);
        _raw = new VhostUserConnection(socket);
        Frontend = VhostUserFrontend.Open(socket, ~(ProtocolFeatures | EventIndex | (packed ? 0 : PackedRing)), Version1);
        Frontend.ShareMemory([(TestMemory.Start, (ulong)Ram.Bytes, 0)], Ram.File);
    }

    internal TestMemory Ram { get; }

    internal HandRing Ring { get; }

    internal VhostUserFrontend Frontend { get; }

    internal EventFd Kick { get; } = EventFd.Create();

    internal EventFd Call { get; } = EventFd.Create();

    internal EventFd Error { get; } = EventFd.Create();

    /// <summary>Starts a new ring.</summary>
    internal DeviceSession Start()
    {
        Ring.Clear();
        while (Call.TryDrain() | Error.TryDrain())
        {
        }
        _raw.Send(VhostUserRequest.SetVringErr, VhostUserHeader.NeedReply, 0ul, [Error.Handle]);
        Assert.True(_raw.Receive() && _raw.PayloadAs<ulong>() == 0);
        Continue(Ring.Start);
        return this;
    }

    /// <summary>Starts a stopped ring at its position.</summary>
    internal void Continue(uint position) =>
        Frontend.StartRing(0, HandRing.Size, position, HandRing.Descriptors, HandRing.Driver, HandRing.Device, Kick, Call);

    internal void Reset()
    {
        _raw.Send(VhostUserRequest.ResetDevice, VhostUserHeader.NeedReply, []);
        Assert.True(_raw.Receive() && _raw.PayloadAs<ulong>() == 0);
    }

    internal void Offer(params ReadOnlySpan<Piece> chain)
    {
        Ring.Offer(chain);
        Kick.Signal();
    }

    /// <summary>Submits four bytes and room for as many.</summary>
    internal void Submit(int number, bool indirect = false)
    {
        Assert.True(Ram.Memory.TryWrite(Text, number));
        Assert.True(Ram.Memory.TryWrite(Answer, 0));
        Piece[] chain = [new(Text, 4), new(Answer, 4, DescriptorFlags.Write)];
        if (indirect) Offer(Ring.Indirect(chain));
        else Offer(chain);
    }

    /// <summary>Waits for the next completion.</summary>
    /// <returns>Bytes written; null when the device signals a broken ring.</returns>
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

    /// <summary>A request to a device that echoes is served.</summary>
    internal void AssertEcho(int number = 0x1234_5678, bool indirect = false)
    {
        Submit(number, indirect);
        AssertAnswer(number);
    }

    internal void AssertAnswer(int number)
    {
        Assert.Equal(4u, Complete());
        Assert.True(Ram.Memory.TryRead<int>(Answer, out var answer));
        Assert.Equal(number, answer);
    }

    /// <summary>Waits until the back-end closes the session.</summary>
    internal void AwaitClose()
    {
        using var wait = new WaitSet(Frontend.Handle);
        Assert.True(wait.Wait(60_000) && wait.IsHungUp(0), "the session stays open");
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
