using VmShunt.Ring.Interop;
using VmShunt.Ring.VhostUser;
using VmShunt.Ring.Virtqueue;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Ring.VhostUser;

/// <summary>The driver of one ring of an <see cref="EchoDevice"/>. Several share one memory.</summary>
internal sealed class EchoClient : IDisposable
{
    internal const int Size = 16;

    // Each ring and its data have their own 64 KiB.
    private const ulong Stride = 0x1_0000, Available = 0x1000, Used = 0x2000, Data = 0x8000;

    private readonly TestMemory _ram;
    private readonly int _index;
    private SplitDriverQueue _queue;

    internal EchoClient(TestMemory ram, int index, bool eventIndex = true)
    {
        _ram = ram;
        _index = index;
        var areas = new SplitAreas(
            ram.Window(Base, SplitLayout.DescriptorBytes(Size)),
            ram.Window(Base + Available, SplitLayout.AvailableBytes(Size)),
            ram.Window(Base + Used, SplitLayout.UsedBytes(Size)));
        _queue = new SplitDriverQueue(areas, Size, eventIndex);
    }

    internal EventFd Kick { get; } = EventFd.Create();

    internal EventFd Call { get; } = EventFd.Create();

    internal ulong Base => TestMemory.Start + (ulong)_index * Stride;

    internal VringAddress Address =>
        new() { Index = (uint)_index, Descriptors = Base, Available = Base + Available, Used = Base + Used };

    internal void Start(VhostUserFrontend frontend, uint position) =>
        frontend.StartRing(_index, Size, position, Base, Base + Available, Base + Used, Kick, Call);

    /// <summary>Sends a text through the ring and waits for the copy.</summary>
    internal void Echo(string text)
    {
        Submit(text);
        Complete(text);
    }

    internal void Submit(string text)
    {
        var bytes = System.Text.Encoding.UTF8.GetBytes(text);
        bytes.CopyTo(_ram.Span(Base + Data, bytes.Length));
        _ram.Span(Base + Data + 0x1000, bytes.Length).Clear();
        Assert.True(_queue.TryAdd([new(Base + Data, (uint)bytes.Length), new(Base + Data + 0x1000, (uint)bytes.Length)], 1, 7));
        if (_queue.Publish()) Kick.Signal();
    }

    internal void Complete(string text)
    {
        using var sleep = new WaitSet(Call.Handle);
        ushort token;
        uint written;
        while (_queue.TryPopUsed(out token, out written) == PopResult.Empty)
        {
            if (_queue.Arm()) continue;
            Assert.True(sleep.Wait(60_000), $"{text} does not complete");
            Call.TryDrain();
        }
        var bytes = System.Text.Encoding.UTF8.GetByteCount(text);
        Assert.Null(_queue.Fault);
        Assert.Equal((7, (uint)bytes), (token, written));
        Assert.Equal(text, System.Text.Encoding.UTF8.GetString(_ram.Span(Base + Data + 0x1000, bytes)));
    }

    public void Dispose()
    {
        Kick.Dispose();
        Call.Dispose();
    }
}
