using System.CommandLine;
using Microsoft.Extensions.Logging;

namespace VmShunt.Terminal;

/// <summary>The form of a log's lines.</summary>
public enum LogForm
{
    /// <summary>Time, level and message.</summary>
    Text,

    /// <summary>One JSON object a line, with the message's values by name.</summary>
    Json,

    /// <summary>A priority in front that systemd's journal reads; the journal adds the time.</summary>
    Systemd,
}

/// <summary>A program's <c>--log</c> and <c>--log-level</c>.</summary>
/// <param name="Form">The form of its lines.</param>
/// <param name="Level">The least level that is logged.</param>
public sealed record LogOptions(LogForm Form, LogLevel Level)
{
    /// <summary>Adds the options to a program's command line.</summary>
    /// <returns>Reads them from what was parsed.</returns>
    public static Func<ParseResult, LogOptions> AddTo(Command command)
    {
        ArgumentNullException.ThrowIfNull(command);
        var form = new Option<string>("--log") { DefaultValueFactory = _ => "text", Description = "the form of the log on standard error: text, json (an object a line), or systemd (for its journal)" };
        var level = new Option<string>("--log-level") { DefaultValueFactory = _ => "info", Description = "what is logged: info, warning or error, and what is worse" };
        form.AcceptOnlyFromAmong("text", "json", "systemd");
        level.AcceptOnlyFromAmong("info", "warning", "error");
        command.Options.Add(form);
        command.Options.Add(level);
        return parsed => new LogOptions(
            Enum.Parse<LogForm>(parsed.GetValue(form)!, ignoreCase: true),
            parsed.GetValue(level) switch { "error" => LogLevel.Error, "warning" => LogLevel.Warning, _ => LogLevel.Information });
    }
}
