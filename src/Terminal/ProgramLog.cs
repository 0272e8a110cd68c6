using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Console;

namespace VmShunt.Terminal;

/// <summary>
/// A program's log on standard error. A reader that does not read costs lines, never time: the queue is bounded, and the lines
/// that did not fit are counted in it. What a peer can cause again and again is limited (<see cref="LimitedLogger"/>).
/// </summary>
public sealed class ProgramLog : IDisposable
{
    // About as many lines as the services of a full listener write at once.
    private const int QueuedLines = 2048;

    private readonly ILoggerFactory _factory;
    private readonly LimitedLogger _logger;

    /// <summary>Opens the log.</summary>
    /// <param name="name">Who logs: the category of each line.</param>
    /// <param name="options">Its form and its level.</param>
    public ProgramLog(string name, LogOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        _factory = LoggerFactory.Create(builder =>
        {
            builder.SetMinimumLevel(options.Level);
            builder.AddConsole(console =>
            {
                console.LogToStandardErrorThreshold = LogLevel.Trace;
                console.QueueFullMode = ConsoleLoggerQueueFullMode.DropWrite;
                console.MaxQueueLength = QueuedLines;
            });
            switch (options.Form)
            {
                case LogForm.Json:
                    builder.AddJsonConsole(static console => (console.TimestampFormat, console.UseUtcTimestamp) = ("O", true));
                    break;
                case LogForm.Systemd:
                    builder.AddSystemdConsole();
                    break;
                default:
                    builder.AddSimpleConsole(static console => (console.SingleLine, console.TimestampFormat, console.UseUtcTimestamp) = (true, "HH:mm:ss.ffffff ", true));
                    break;
            }
        });
        _logger = new LimitedLogger(_factory.CreateLogger(name), TimeProvider.System);
    }

    /// <summary>Where to log. Any thread; does not block or throw.</summary>
    public ILogger Logger => _logger;

    /// <summary>Writes the counts of lines that were left out, and what is queued, within a second or two.</summary>
    public void Dispose()
    {
        _logger.ReportLeftOut();
        _factory.Dispose();
    }
}
