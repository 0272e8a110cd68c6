using VmShunt.HostPartition.VirtioBlk.Serving;
using VmShunt.Ring.Interop;

namespace VmShunt.Tests.HostPartition.VirtioBlk.Serving;

/// <summary>A ring that has as much work as a test gives it, and counts what its poller does with it.</summary>
internal sealed class ScriptedRing : PollGroupMember, IDisposable
{
    private readonly EventFd _kick = EventFd.Create();
    private int _work, _visits, _arms;
    private bool _isStopping;

    internal override EventFd Kick => _kick;

    internal override bool IsStopping => _isStopping;

    internal int Visits => Interlocked.CompareExchange(ref _visits, 0, 0);

    internal int Arms => Interlocked.CompareExchange(ref _arms, 0, 0);

    internal int Left => Interlocked.CompareExchange(ref _work, 0, 0);

    /// <summary>Run on the poller's thread by every visit that finds work.</summary>
    internal Action? AtWork { get; set; }

    /// <summary>Has the next visit find the ring unsuitable.</summary>
    internal bool BecomesUnsuitable { get; set; }

    internal TaskCompletionSource Alone { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    internal TaskCompletionSource Finished { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>As a driver: makes work available, and kicks if it was asked to.</summary>
    internal void Give(int work)
    {
        Interlocked.Add(ref _work, work);
        if (IsArmed) _kick.Signal();
    }

    internal void Stop(PollGroup poller)
    {
        _isStopping = true;
        poller.Release(this);
    }

    internal override RingVisit Visit()
    {
        Interlocked.Increment(ref _visits);
        if (Left == 0) return RingVisit.Empty;
        Interlocked.Decrement(ref _work);
        AtWork?.Invoke();
        return BecomesUnsuitable ? RingVisit.Unsuitable : RingVisit.Worked;
    }

    internal override bool Arm()
    {
        Interlocked.Increment(ref _arms);
        return Left > 0;
    }

    internal override void Disarm()
    {
        // Its driver looks whether it is armed.
    }

    internal override void ServeAlone(bool forGood) => Alone.TrySetResult();

    internal override void Finish() => Finished.TrySetResult();

    public void Dispose() => _kick.Dispose();
}
