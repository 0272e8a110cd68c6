namespace VmShunt.Tests.Ring.Virtqueue;

/// <summary>How far one of two threads is. They meet at each step within nanoseconds of each other, which no barrier of .NET does.</summary>
internal sealed class SharedCounter
{
    private int _at;

    /// <summary>Says that this thread is at a step and waits until the other one is.</summary>
    internal void Meet(SharedCounter other, int step)
    {
        Volatile.Write(ref _at, step);
        var spin = new SpinWait();
        var looks = 0;
        while (Volatile.Read(ref other._at) < step)
        {
            // Polite only after a while: the other thread may need this core.
            if (++looks > 2_000) spin.SpinOnce(sleep1Threshold: -1);
        }
    }
}
