using VmShunt.Ring.Virtqueue;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Ring.Virtqueue;

/// <summary>Both ends of one queue, in its own memory with room for data.</summary>
public sealed class QueuePair<TKind, TDriver, TDevice> : IDisposable
    where TKind : IRingKind<TDriver, TDevice>
    where TDriver : struct, IDriverQueue
    where TDevice : struct, IDeviceQueue
{
    /// <summary>The longest chain that still fits a slot's indirect table.</summary>
    public const int TableEntries = 8;

    // Fields, because the ends are structs that change in place.
    public TDriver Driver;
    public TDevice Device;

    private readonly QueueOptions _options;

    public QueuePair(QueueOptions options, int dataBytes = 1 << 16)
    {
        _options = options;
        var ring = (TKind.RingBytes(options.Size) + 4095) & ~4095;
        var tables = options.Indirect ? options.Size * TableEntries * 16 : 0;
        Ram = new TestMemory(ring + tables + dataBytes);
        Data = TestMemory.Start + (ulong)(ring + tables);
        var tablesAddress = TestMemory.Start + (ulong)ring;
        Driver = TKind.CreateDriver(Ram, options, tables == 0 ? default : Ram.Window(tablesAddress, tables), tablesAddress);
        Device = TKind.CreateDevice(Ram, options, TKind.StartPosition);
    }

    public TestMemory Ram { get; }

    /// <summary>Where data buffers go.</summary>
    public ulong Data { get; }

    public DescriptorChain Chain { get; } = new();

    /// <summary>How many ring slots the next chain occupies.</summary>
    public int Slots(int buffers) =>
        _options.Indirect && buffers <= TableEntries && Driver.InFlight >= TKind.DirectRequests(_options.Size) ? 1 : buffers;

    /// <summary>A new device continues where the old one stopped.</summary>
    public void ReplaceDevice() => Device = TKind.CreateDevice(Ram, _options, Device.Position);

    /// <summary>Adds a request of one buffer, whose address contains the token.</summary>
    public bool Add(ushort token) => Driver.TryAdd([new QueueBuffer(Data + token, 1)], 0, token);

    /// <summary>Pops a chain of <see cref="Add"/>.</summary>
    public ChainHandle Pop(ushort token)
    {
        Assert.Equal(PopResult.Popped, Device.TryPop(Chain));
        Assert.Equal([new DescriptorChain.Segment(Data + token, 1)], Chain.Writable);
        return Chain.Handle;
    }

    public void PopUsed(ushort token, uint written)
    {
        Assert.Equal(PopResult.Popped, Driver.TryPopUsed(out var usedToken, out var usedWritten));
        Assert.Equal((token, written), (usedToken, usedWritten));
    }

    /// <summary>Completes requests one by one, to bring the ring's indices to a position of interest.</summary>
    public void Advance(int requests)
    {
        ReadOnlySpan<QueueBuffer> buffers = [new QueueBuffer(Data, 1)];
        for (var i = 0; i < requests; i++)
        {
            if (!Driver.TryAdd(buffers, 0, 0)) Assert.Fail($"request {i}: the ring is full");
            Driver.Publish();
            if (Device.TryPop(Chain) != PopResult.Popped) Assert.Fail($"request {i}: {Device.Fault}");
            Device.Return(Chain.Handle, 1);
            Device.Publish();
            if (Driver.TryPopUsed(out _, out _) != PopResult.Popped) Assert.Fail($"request {i}: {Driver.Fault}");
        }
    }

    public void Dispose() => Ram.Dispose();
}
