using VmShunt.BlockDriver;
using VmShunt.Ring.Virtqueue;

namespace VmShunt.Perf.Ends;

/// <summary>Both ends of a virtqueue on one thread: the cost of the code without any wait.</summary>
internal abstract class ChainLoop
{
    internal static ChainLoop Create(RingLayout layout, RingMemory memory, bool indirect, int batch) => layout switch
    {
        RingLayout.Split => new ChainLoop<SplitDriverQueue, SplitDeviceQueue>(
            memory.SplitDriver(indirect, eventIndex: true), memory.SplitDevice(indirect, eventIndex: true), batch),
        RingLayout.Packed => new ChainLoop<PackedDriverQueue, PackedDeviceQueue>(
            memory.PackedDriver(indirect, eventIndex: true), memory.PackedDevice(indirect, eventIndex: true), batch),
        _ => throw new ArgumentOutOfRangeException(nameof(layout), layout, "unknown layout"),
    };

    /// <summary>Passes chains to the device and back, batch by batch.</summary>
    internal abstract void Run(int chains);
}

/// <summary>Generic over the queue types, so that the JIT compiles it for each layout, as it does the loops of VM-C and VM-H.</summary>
internal sealed class ChainLoop<TDriver, TDevice>(TDriver driver, TDevice device, int batch) : ChainLoop
    where TDriver : struct, IDriverQueue
    where TDevice : struct, IDeviceQueue
{
    private readonly QueueBuffer[] _buffers = RequestShape.Read(RingMemory.Slot(0), RingMemory.Data, 4096);
    private readonly DescriptorChain _chain = new();
    private TDriver _driver = driver;
    private TDevice _device = device;

    internal override void Run(int chains)
    {
        for (var done = 0; done < chains; done += batch)
        {
            for (var i = 0; i < batch; i++)
                if (!_driver.TryAdd(_buffers, RequestShape.Readable, (ushort)i)) Fail("the ring is full");
            _driver.Publish();
            for (var i = 0; i < batch; i++)
            {
                if (_device.TryPop(_chain) != PopResult.Popped || _chain.Count != RequestShape.Buffers) Fail(_device.Fault ?? "the device found no chain");
                _device.Return(_chain.Handle, 1);
            }
            _device.Publish();
            for (var i = 0; i < batch; i++)
                if (_driver.TryPopUsed(out _, out _) != PopResult.Popped) Fail(_driver.Fault ?? "the driver found no completion");
        }
    }

    private static void Fail(string why) => throw new InvalidOperationException(why);
}
