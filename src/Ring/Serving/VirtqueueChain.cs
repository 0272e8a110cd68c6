using System.Diagnostics.CodeAnalysis;

namespace VmShunt.Ring.Serving;

/// <summary>
/// A descriptor chain that a device took from its <see cref="Virtqueue"/>. Its buffers are guest memory, which the guest may
/// write meanwhile: read what you judge once. It may be kept over calls of <see cref="VirtioDevice.Serve"/>, and used inside
/// them; a use after its return, or after the queue was stopped, throws.
/// </summary>
public readonly struct VirtqueueChain
{
    private readonly Virtqueue? _queue;

    internal VirtqueueChain(Virtqueue queue, int slot, uint use) => (_queue, Slot, Use) = (queue, slot, use);

    internal int Slot { get; }

    internal uint Use { get; }

    /// <summary>The device-readable buffers, in order.</summary>
    /// <exception cref="InvalidOperationException">The chain is returned, or used outside of Serve.</exception>
    public ReadableBuffers Readable => new(Owner.Find(this).Readable);

    /// <summary>The device-writable buffers, in order.</summary>
    /// <exception cref="InvalidOperationException">The chain is returned, or used outside of Serve.</exception>
    public WritableBuffers Writable => new(Owner.Find(this).Writable);

    private Virtqueue Owner
    {
        get
        {
            if (_queue is null) ThrowEmpty();
            return _queue;
        }
    }

    internal bool IsOf(Virtqueue queue) => ReferenceEquals(queue, _queue);

    [DoesNotReturn]
    private static void ThrowEmpty() => throw new InvalidOperationException("this chain is of no queue: TryTake gives one where it returns true");
}
