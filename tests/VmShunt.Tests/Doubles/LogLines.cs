using Microsoft.Extensions.Logging;

namespace VmShunt.Tests.Doubles;

/// <summary>A logger that keeps its lines.</summary>
internal sealed class LogLines : ILogger
{
    private readonly List<string> _lines = [];

    internal string[] All
    {
        get
        {
            lock (_lines) return [.. _lines];
        }
    }

    public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        lock (_lines) _lines.Add(formatter(state, exception));
    }
}
