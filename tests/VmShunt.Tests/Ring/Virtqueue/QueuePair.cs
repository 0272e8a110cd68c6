using VmShunt.Ring.Virtqueue;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Ring.Virtqueue;

/// <summary>Both ends of one queue, in memory of its own with room for data.</summary>
public sealed class QueuePair<TKind, TDriver, TDevice> : IDisposable
    where TKind : IRingKind<TDriver, TDevice>
    where TDriver : struct, IDriverQueue
    where TDevice : struct, IDeviceQueue
{
    /// <summary>The longest chain that still fits a slot's indirect table.</summary>
    public const int TableEntries = 8;

    // Fields: the ends are structs that change in place.
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

    /// <summary>Where data may lie.</summary>
    public ulong Data { get; }

    public DescriptorChain Chain { get; } = new();

    /// <summary>The slots that the next chain takes.</summary>
    public int Slots(int buffers) =>
        _options.Indirect && buffers <= TableEntries && Driver.InFlight >= TKind.DirectRequests(_options.Size) ? 1 : buffers;

    /// <summary>A new device end goes on where the old one stopped.</summary>
    public void ReplaceDevice() => Device = TKind.CreateDevice(Ram, _options, Device.Position);

    /// <summary>Adds a request whose one buffer is at an address that tells its token.</summary>
    public bool Add(ushort token) => Driver.TryAdd([new QueueBuffer(Data + token, 1)], 0, token);

    /// <summary>Takes a chain of <see cref="Add"/>.</summary>
    public ChainHandle Take(ushort token)
    {
        Assert.Equal(PopResult.Taken, Device.TryTake(Chain));
        Assert.Equal([new DescriptorChain.Segment(Data + token, 1)], Chain.Writable);
        return Chain.Handle;
    }

    public void TakeUsed(ushort token, uint written)
    {
        Assert.Equal(PopResult.Taken, Driver.TryTakeUsed(out var usedToken, out var usedWritten));
        Assert.Equal((token, written), (usedToken, usedWritten));
    }

    /// <summary>Sends requests there and back one by one, so that the ring's indices stand at a place of interest.</summary>
    public void Advance(int requests)
    {
        ReadOnlySpan<QueueBuffer> buffers = [new QueueBuffer(Data, 1)];
        for (var i = 0; i < requests; i++)
        {
            if (!Driver.TryAdd(buffers, 0, 0)) Assert.Fail($"request {i}: the ring is full");
            Driver.Publish();
            if (Device.TryTake(Chain) != PopResult.Taken) Assert.Fail($"request {i}: {Device.Fault}");
            Device.Return(Chain.Handle, 1);
            Device.Publish();
            if (Driver.TryTakeUsed(out _, out _) != PopResult.Taken) Assert.Fail($"request {i}: {Driver.Fault}");
        }
    }

    public void Dispose() => Ram.Dispose();
}
