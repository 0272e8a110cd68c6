namespace VmShunt.Ring.Serving;

/// <summary>
/// Reports the failures of one queue: the first at once, then at most one per second with the number left out since, so that
/// a hostile driver cannot flood a log. Used by the queue's thread.
/// </summary>
/// <param name="index">The queue.</param>
/// <param name="report">Receives a line.</param>
internal sealed class FailureReports(int index, Action<string> report)
{
    private const long PauseMilliseconds = 1000;

    private long _next = long.MinValue;
    private long _leftOut;

    internal void Failed(string what)
    {
        var now = Environment.TickCount64;
        if (now < _next)
        {
            _leftOut++;
            return;
        }
        _next = now + PauseMilliseconds;
        report(_leftOut == 0 ? $"queue {index}: {what}" : $"queue {index}: {what} ({_leftOut} more failures since the last report)");
        _leftOut = 0;
    }
}
