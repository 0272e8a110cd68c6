namespace VmShunt.Tests.Doubles;

/// <summary>A clock that a test advances; its timers elapse on the thread that does.</summary>
internal sealed class ManualClock : TimeProvider
{
    private readonly List<ManualTimer> _timers = [];
    private long _now = 1000;

    public override long TimestampFrequency => 1_000_000;

    public override long GetTimestamp() => Interlocked.Read(ref _now);

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        var timer = new ManualTimer(this, () => callback(state), GetTimestamp() + Ticks(dueTime));
        lock (_timers) _timers.Add(timer);
        return timer;
    }

    internal void Advance(TimeSpan time)
    {
        var now = Interlocked.Add(ref _now, Ticks(time));
        ManualTimer[] due;
        lock (_timers)
        {
            due = [.. _timers.Where(timer => timer.Due <= now)];
            _timers.RemoveAll(timer => timer.Due <= now);
        }
        foreach (var timer in due) timer.Elapsed();
    }

    private long Ticks(TimeSpan time) => (long)(time.TotalSeconds * TimestampFrequency);

    private void Remove(ManualTimer timer)
    {
        lock (_timers) _timers.Remove(timer);
    }

    private sealed class ManualTimer(ManualClock clock, Action elapsed, long due) : ITimer
    {
        internal long Due { get; } = due;

        internal Action Elapsed { get; } = elapsed;

        public bool Change(TimeSpan dueTime, TimeSpan period) => throw new NotSupportedException();

        public void Dispose() => clock.Remove(this);

        public ValueTask DisposeAsync()
        {
            Dispose();
            return ValueTask.CompletedTask;
        }
    }
}
