using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;
using VmShunt.Ring.Serving;
using VmShunt.Ring.VhostUser;
using VmShunt.Ring.Virtqueue;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Ring.Serving;

/// <summary>One queue of a device that a test serves step by step, and its driver.</summary>
internal sealed class SteppedQueue : IDisposable
{
    internal const int Size = 64;

    private const ulong Version1 = 1UL << 32, PackedRing = 1UL << 34;
    private const ulong Rings = TestMemory.Start, Second = Rings + 0x1000, Third = Rings + 0x2000, Inflight = Rings + 0x4000, Data = Rings + 0x1_0000;

    private readonly TestMemory _ram = new(1 << 20);
    private readonly bool _packed;
    private readonly QueueWake _wake = new();
    private readonly IDriverQueue _driver;

    internal SteppedQueue(ScriptedDevice device, bool packed = false)
    {
        (Device, _packed) = (device, packed);
        var (descriptors, driver, used) = Areas;
        _driver = packed
            ? new PackedDriverQueue(new PackedAreas(descriptors, driver, used), Size, eventIndex: false)
            : new SplitDriverQueue(new SplitAreas(descriptors, driver, used), Size, eventIndex: false);
        Handler = Start(packed ? PackedLayout.StartPosition : 0);
    }

    internal ScriptedDevice Device { get; }

    internal VirtioVringHandler Handler { get; private set; }

    internal EventFd Call { get; } = EventFd.Create();

    internal List<string> Reports { get; } = [];

    /// <summary>A new back-end process continues: with a record of chains in flight, and the position that its front-end knows.</summary>
    internal void Replace() => Handler = Start(Handler.Position);

    /// <summary>A queue that was stopped in order is started again.</summary>
    internal void Restart()
    {
        Handler.Drain();
        _ram.Span(Inflight, InflightBytes).Clear();
        Replace();
    }

    internal void Wake() => _wake.Raise();

    /// <summary>Makes a request available: two bytes of the token to read, four to write.</summary>
    internal void Submit(ushort token, ulong? writeTo = null)
    {
        Assert.True(_ram.Memory.TryWrite(At(token), token));
        Assert.True(_ram.Memory.TryWrite(At(token) + 8, 0));
        Assert.True(_driver.TryAdd([new(At(token), 2), new(writeTo ?? At(token) + 8, 4)], 1, token));
        _driver.Publish();
    }

    /// <summary>Makes a request of one buffer available.</summary>
    internal void SubmitWritable(ushort token)
    {
        Assert.True(_driver.TryAdd([new(At(token) + 8, 4)], 0, token));
        _driver.Publish();
    }

    /// <summary>The completed requests, as token and bytes written; the bytes are checked against the token.</summary>
    internal List<(ushort Token, uint Written)> Completed()
    {
        var completed = new List<(ushort, uint)>();
        while (_driver.TryPopUsed(out var token, out var written) == PopResult.Popped)
        {
            completed.Add((token, written));
            if (written == 0) continue;
            Assert.True(_ram.Memory.TryRead<ushort>(At(token) + 8, out var echoed));
            Assert.Equal(token, echoed);
        }
        Assert.Null(_driver.Fault);
        return completed;
    }

    /// <summary>Completes one request without an allocation.</summary>
    internal void RoundTrip()
    {
        ReadOnlySpan<QueueBuffer> buffers = [new(At(1), 2), new(At(1) + 8, 4)];
        if (!_driver.TryAdd(buffers, 1, 1)) Assert.Fail("the ring is full");
        _driver.Publish();
        if (Handler.Step(defersLong: false) != HandlerStep.Worked) Assert.Fail("the request is not served");
        if (_driver.TryPopUsed(out _, out _) != PopResult.Popped) Assert.Fail("the request is not completed");
    }

    public void Dispose()
    {
        _wake.Dispose();
        Call.Dispose();
        _ram.Dispose();
    }

    private (MemoryWindow Descriptors, MemoryWindow Driver, MemoryWindow Used) Areas => (
        _ram.Window(Rings, SplitLayout.DescriptorBytes(Size)),
        _ram.Window(Second, _packed ? PackedLayout.EventBytes : SplitLayout.AvailableBytes(Size)),
        _ram.Window(Third, _packed ? PackedLayout.EventBytes : SplitLayout.UsedBytes(Size)));

    private int InflightBytes => _packed ? PackedDeviceQueue.InflightBytes(Size) : SplitDeviceQueue.InflightBytes(Size);

    private static ulong At(ushort token) => Data + token * 64UL;

    private VirtioVringHandler Start(uint position)
    {
        var (descriptors, driver, used) = Areas;
        var features = Version1 | (_packed ? PackedRing : 0);
        var inflight = _ram.Window(Inflight, InflightBytes);
        return new VirtioVringHandler(new VringSetup(0, Size, position, features, _ram.Memory, descriptors, driver, used, null, Call, null, inflight), Device, _wake, Reports.Add);
    }
}
