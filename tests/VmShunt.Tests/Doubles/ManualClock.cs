namespace VmShunt.Tests.Doubles;

/// <summary>A clock that a test advances.</summary>
internal sealed class ManualClock : TimeProvider
{
    private long _now = 1000;

    public override long TimestampFrequency => 1_000_000;

    public override long GetTimestamp() => Interlocked.Read(ref _now);

    internal void Advance(TimeSpan time) => Interlocked.Add(ref _now, (long)(time.TotalSeconds * TimestampFrequency));
}
