using VmShunt.Ring.Memory;

namespace VmShunt.Tests.Ring.Virtqueue;

/// <summary>The progress of one of two threads. They leave each step within nanoseconds of each other, closer than a <see cref="Barrier"/>.</summary>
internal sealed class SharedCounter
{
    private int _at;

    /// <summary>Publishes the step of this thread and waits until the other one reaches it.</summary>
    internal void Meet(SharedCounter other, int step)
    {
        Ordered.Store(ref _at, step);
        var spin = new SpinWait();
        var polls = 0;
        while (Ordered.Load(ref other._at) < step)
        {
            // Yields after a while: the other thread may need this core.
            if (++polls > 2_000) spin.SpinOnce(sleep1Threshold: -1);
        }
    }
}
