using VmShunt.Ring.Memory;
using VmShunt.Ring.Virtqueue;

namespace VmShunt.BlockBackend.VirtioBlk.Serving;

/// <summary>How many chains a queue has popped. Its thread counts, any thread reads.</summary>
internal sealed class ChainCount
{
    private long _value;

    internal long Value => Ordered.Load(ref _value);

    internal void Increment() => Ordered.Store(ref _value, _value + 1);
}

/// <summary>A queue that counts its chains.</summary>
internal struct CountedQueue<TQueue>(TQueue queue, ChainCount count) : IDeviceQueue where TQueue : struct, IDeviceQueue
{
    private TQueue _queue = queue;

    public readonly bool HasPending => _queue.HasPending;

    public readonly uint Position => _queue.Position;

    public readonly string? Fault => _queue.Fault;

    public PopResult TryPop(DescriptorChain chain)
    {
        var result = _queue.TryPop(chain);
        if (result == PopResult.Popped) count.Increment();
        return result;
    }

    public void Return(ChainHandle handle, uint written) => _queue.Return(handle, written);

    public bool Publish() => _queue.Publish();

    public bool Arm() => _queue.Arm();

    public void Disarm() => _queue.Disarm();

    public bool TryUnpop(ChainHandle handle) => _queue.TryUnpop(handle);
}
