using System.Diagnostics;
using Microsoft.Extensions.Logging;

namespace VmShunt.Hypervisor;

/// <summary>
/// Puts the time in front of each line, in seconds of the clock that all processes of the machine share, so that lines
/// of several processes can be put in order.
/// </summary>
internal sealed class MonotonicLogger(ILogger inner) : ILogger
{
    public IDisposable? BeginScope<TState>(TState state) where TState : notnull => inner.BeginScope(state);

    public bool IsEnabled(LogLevel logLevel) => inner.IsEnabled(logLevel);

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        var seconds = Stopwatch.GetTimestamp() / (double)Stopwatch.Frequency;
        inner.Log(logLevel, eventId, state, exception, (s, e) => $"[{seconds:f6}] {formatter(s, e)}");
    }
}
