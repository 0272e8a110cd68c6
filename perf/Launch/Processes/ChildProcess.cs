using System.Diagnostics;
using System.Threading.Channels;

namespace VmShunt.Perf.Launch;

/// <summary>
/// A child process: its standard output as a channel of lines, and the last lines of both streams, JSON excluded, for
/// failure reports. Dispose stops the process.
/// </summary>
internal sealed class ChildProcess : IAsyncDisposable
{
    /// <summary>The variable in which an executable finds the runtime's folder.</summary>
    internal const string RootVariable = "DOTNET_ROOT";

    private const int KeptLines = 20;
    private static readonly TimeSpan s_stopTimeout = TimeSpan.FromSeconds(5);

    private readonly Process _process;
    private readonly LastLines _lines, _errors;
    private readonly Channel<string> _output = Channel.CreateUnbounded<string>(new() { SingleReader = true });

    private ChildProcess(string name, Process process, int keptLines)
    {
        Name = name;
        _lines = new LastLines(keptLines);
        _errors = new LastLines(keptLines);
        _process = process;
        Id = process.Id;
        Ended = WaitForEndAsync(PumpAsync(process.StandardOutput, _output.Writer), PumpAsync(process.StandardError, null));
    }

    /// <summary>The folder of the runtime that this process uses.</summary>
    internal static string RuntimeRoot =>
        Path.GetFullPath(Path.Combine(System.Runtime.InteropServices.RuntimeEnvironment.GetRuntimeDirectory(), "../../.."));

    internal string Name { get; }

    internal int Id { get; }

    /// <summary>Completes when the process has exited and its output has been read.</summary>
    internal Task Ended { get; }

    /// <summary>128 + n when signal n killed the process. Valid after <see cref="Ended"/>.</summary>
    internal int ExitCode => _process.ExitCode;

    internal DateTime ExitTime => _process.ExitTime;

    /// <summary>The lines of standard output; the channel completes when the process exits.</summary>
    internal ChannelReader<string> Output => _output.Reader;

    /// <summary>The last lines on either stream.</summary>
    internal string[] LastOutput => _lines.Snapshot();

    /// <summary>The last lines of standard error.</summary>
    internal string[] LastErrors => _errors.Snapshot();

    /// <exception cref="LaunchException">The program cannot be started.</exception>
    internal static ChildProcess Start(string name, string program, IEnumerable<string> arguments, int keptLines = KeptLines)
    {
        var start = new ProcessStartInfo(program, arguments)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            UseShellExecute = false,
        };
        // The executables search the usual places for the runtime; this process may use one from elsewhere.
        start.Environment.TryAdd(RootVariable, RuntimeRoot);
        try
        {
            return new ChildProcess(name, Process.Start(start)!, keptLines);
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            throw new LaunchException($"{name} cannot be started from {program}: {e.Message}", e);
        }
    }

    /// <summary>Writes one line to standard input. Does not fail when the process has exited; <see cref="Ended"/> reports that.</summary>
    internal async Task SendAsync(string line)
    {
        try
        {
            await _process.StandardInput.WriteLineAsync(line);
            await _process.StandardInput.FlushAsync();
        }
        catch (IOException)
        {
            await Ended;
        }
    }

    /// <summary>Stops the process: closes its input and sends SIGTERM, then SIGKILL after 5 s.</summary>
    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
        {
            CloseInput();
            Signal.RequestEnd(Id);
            await Task.WhenAny(_process.WaitForExitAsync(), Task.Delay(s_stopTimeout));
            if (!_process.HasExited) _process.Kill();
        }
        await Ended;
        CloseInput();
        try
        {
            _process.Dispose();
        }
        catch (IOException)
        {
            // It closes the input again, which a process that exited before it read the last line has not taken.
        }
    }

    private void CloseInput()
    {
        try
        {
            _process.StandardInput.Close();
        }
        catch (IOException)
        {
            // The process exited before it read the last line.
        }
    }

    private async Task WaitForEndAsync(Task output, Task error)
    {
        await _process.WaitForExitAsync();
        // A grandchild may hold the pipes open; its output is not waited for.
        await Task.WhenAny(Task.WhenAll(output, error), Task.Delay(TimeSpan.FromSeconds(1)));
        _output.Writer.TryComplete();
    }

    private async Task PumpAsync(StreamReader source, ChannelWriter<string>? target)
    {
        try
        {
            while (await source.ReadLineAsync() is { } line)
            {
                // The console's answers would push the messages that explain a failure out of the buffer.
                if (!line.StartsWith('{')) _lines.Add(line);
                if (target is null) _errors.Add(line);
                else target.TryWrite(line);
            }
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            // The stream closes when the process exits.
        }
        target?.TryComplete();
    }
}
