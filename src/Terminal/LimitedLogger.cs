using Microsoft.Extensions.Logging;

namespace VmShunt.Terminal;

/// <summary>
/// Limits how often each event is logged: <see cref="Burst"/> lines at once, then one a second. The lines that are left out are
/// counted, and the event's next line says how many they were. Any thread.
/// </summary>
internal sealed class LimitedLogger(ILogger inner, TimeProvider time) : ILogger
{
    /// <summary>The lines of one event that are written at once.</summary>
    internal const int Burst = 60;

    private static readonly TimeSpan s_perLine = TimeSpan.FromSeconds(1);

    private readonly Dictionary<int, Budget> _budgets = [];
    private readonly Lock _lock = new();

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => inner.BeginScope(state);

    public bool IsEnabled(LogLevel logLevel) => inner.IsEnabled(logLevel);

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        if (!IsEnabled(logLevel) || !TryTake(eventId.Id, logLevel, out var leftOut)) return;
        if (leftOut > 0) Report(eventId, logLevel, leftOut);
        inner.Log(logLevel, eventId, state, exception, formatter);
    }

    /// <summary>Logs how many lines of each event were left out since its last line.</summary>
    internal void ReportLeftOut()
    {
        List<(int Id, Budget Budget)> left;
        lock (_lock)
        {
            left = [.. _budgets.Where(static pair => pair.Value.LeftOut > 0).Select(static pair => (pair.Key, pair.Value))];
            foreach (var id in _budgets.Keys) _budgets[id] = _budgets[id] with { LeftOut = 0 };
        }
        foreach (var (id, budget) in left) Report(new EventId(id), budget.Level, budget.LeftOut);
    }

    private void Report(EventId eventId, LogLevel level, long leftOut) =>
        inner.Log(level, eventId, leftOut, null, (count, _) => $"{count} lines of event {eventId.Id} were left out: they came faster than one a second");

    private bool TryTake(int id, LogLevel level, out long leftOut)
    {
        var now = time.GetTimestamp();
        lock (_lock)
        {
            var budget = _budgets.TryGetValue(id, out var known) ? known : new Budget(Burst, now, 0, level);
            var earned = Math.Min(Burst - budget.Lines, (long)(time.GetElapsedTime(budget.Since, now) / s_perLine));
            if (earned > 0) budget = budget with { Lines = budget.Lines + earned, Since = now };
            leftOut = budget.LeftOut;
            var isTaken = budget.Lines > 0;
            _budgets[id] = isTaken ? budget with { Lines = budget.Lines - 1, LeftOut = 0, Since = budget.Lines == Burst ? now : budget.Since } : budget with { LeftOut = leftOut + 1 };
            return isTaken;
        }
    }

    /// <param name="Lines">How many may be written now.</param>
    /// <param name="Since">When <paramref name="Lines"/> was last increased, a timestamp.</param>
    /// <param name="LeftOut">How many were not written since the last that was.</param>
    /// <param name="Level">Their level.</param>
    private readonly record struct Budget(long Lines, long Since, long LeftOut, LogLevel Level);
}
