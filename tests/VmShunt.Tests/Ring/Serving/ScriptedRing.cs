using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;
using VmShunt.Ring.Serving;

namespace VmShunt.Tests.Ring.Serving;

/// <summary>A ring whose work a test adds, and which counts what its poll group does.</summary>
internal sealed class ScriptedRing : PollGroupMember, IDisposable
{
    private readonly EventFd _kick = EventFd.Create();
    private int _work, _visits, _arms;
    private bool _isStopping, _wantsKick, _becomesUnsuitable;
    private Action? _onWork;

    internal override EventFd Kick => _kick;

    internal override long Notifications => 0;

    internal override bool IsStopping => Ordered.Load(ref _isStopping);

    internal int Visits => Ordered.Load(ref _visits);

    internal int Arms => Ordered.Load(ref _arms);

    /// <summary>The work that is not processed yet.</summary>
    internal int Pending => Ordered.Load(ref _work);

    /// <summary>Whether kicks are enabled.</summary>
    internal bool WantsKick => Ordered.Load(ref _wantsKick);

    /// <summary>Called on the group's thread by every visit with work.</summary>
    internal Action? OnWork
    {
        get => Ordered.Load(ref _onWork);
        set => Ordered.Store(ref _onWork, value);
    }

    /// <summary>Makes visits with work return <see cref="RingVisit.Unsuitable"/>.</summary>
    internal bool BecomesUnsuitable
    {
        get => Ordered.Load(ref _becomesUnsuitable);
        set => Ordered.Store(ref _becomesUnsuitable, value);
    }

    internal TaskCompletionSource OnOwnThread { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    internal TaskCompletionSource Finished { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Makes work available, and kicks if kicks are enabled, as a driver does.</summary>
    internal void AddWork(int work)
    {
        // A full fence, as is the one in Arm: either this thread sees the flag, or Arm sees the work.
        Interlocked.Add(ref _work, work);
        if (WantsKick) _kick.Signal();
    }

    internal void Stop(PollGroup group)
    {
        Ordered.Store(ref _isStopping, true);
        group.Release(this);
    }

    internal override RingVisit Visit()
    {
        Interlocked.Increment(ref _visits);
        if (Pending == 0) return RingVisit.Empty;
        Interlocked.Decrement(ref _work);
        OnWork?.Invoke();
        return BecomesUnsuitable ? RingVisit.Unsuitable : RingVisit.Worked;
    }

    internal override bool Arm()
    {
        Ordered.Store(ref _wantsKick, true);
        Interlocked.Increment(ref _arms);
        return Pending > 0;
    }

    internal override void Disarm() => Ordered.Store(ref _wantsKick, false);

    internal override void ServeOnOwnThread(bool permanently) => OnOwnThread.TrySetResult();

    internal override void Finish() => Finished.TrySetResult();

    public void Dispose() => _kick.Dispose();
}
