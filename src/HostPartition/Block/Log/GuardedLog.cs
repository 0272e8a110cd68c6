using Microsoft.Extensions.Logging;

namespace VmShunt.BlockBackend.Log;

/// <summary>A logger whose failures are dropped: a log that throws, such as a full disk's, must not end a thread that serves a guest.</summary>
internal sealed class GuardedLog : ILogger
{
    private readonly ILogger _log;

    private GuardedLog(ILogger log) => _log = log;

    internal static ILogger Of(ILogger log) => log as GuardedLog ?? new GuardedLog(log);

    public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel)
    {
        try
        {
            return _log.IsEnabled(logLevel);
        }
        catch (Exception)
        {
            return false;
        }
    }

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        try
        {
            _log.Log(logLevel, eventId, state, exception, formatter);
        }
        catch (Exception)
        {
            // There is no other place to say it.
        }
    }
}
