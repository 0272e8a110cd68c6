using VmShunt.Ring.Virtqueue;

namespace VmShunt.Tests.Guest.Block.Virtio;

/// <summary>A driver's queue that runs hooks at moments which threads meet by chance only.</summary>
internal struct HookedQueue<TDriver>(TDriver queue, QueueHooks hooks) : IDriverQueue where TDriver : struct, IDriverQueue
{
    // Changes in place.
    private TDriver _queue = queue;

    public readonly int Capacity => _queue.Capacity;

    public readonly int InFlight => _queue.InFlight;

    public readonly string? Fault => _queue.Fault;

    public bool TryAdd(ReadOnlySpan<QueueBuffer> buffers, int readable, ushort token) => _queue.TryAdd(buffers, readable, token);

    public bool Publish() => _queue.Publish();

    public PopResult TryPopUsed(out ushort token, out uint written)
    {
        hooks.Polled();
        return _queue.TryPopUsed(out token, out written);
    }

    public bool Arm()
    {
        hooks.Armed.Release();
        return _queue.Arm();
    }

    public void Disarm() => _queue.Disarm();
}

/// <summary>The hooks of a <see cref="HookedQueue{TDriver}"/>.</summary>
internal sealed class QueueHooks
{
    private Action? _onPoll;

    /// <summary>Released each time before the owner blocks.</summary>
    internal SemaphoreSlim Armed { get; } = new(0);

    /// <summary>Runs once, when the owner looks for completions.</summary>
    internal void OnNextPoll(Action action) => Interlocked.Exchange(ref _onPoll, action);

    internal void Polled() => Interlocked.Exchange(ref _onPoll, null)?.Invoke();
}
