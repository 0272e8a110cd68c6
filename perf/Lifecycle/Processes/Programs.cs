using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using VmShunt.Perf.Launch;

namespace VmShunt.Perf.Lifecycle.Processes;

/// <summary>Starts the executables that lie beside the tests, and others.</summary>
internal static class Programs
{
    private const int KeptLines = 2000;

    // A test run under nohup or in the background of a script ignores these, and children inherit that.
    private static readonly bool s_ignoresSignals = IsIgnored(Signal.HangUp) || IsIgnored(Signal.Interrupt);

    /// <summary>Any answer of a guest's console, as it is.</summary>
    internal static JsonTypeInfo<JsonElement> AnyAnswer { get; } = (JsonTypeInfo<JsonElement>)JsonSerializerOptions.Default.GetTypeInfo(typeof(JsonElement));

    /// <summary>What a program that has exited leaves.</summary>
    internal sealed record Result(int ExitCode, IReadOnlyList<string> Output, IReadOnlyList<string> Errors)
    {
        internal string ErrorText => string.Join('\n', Errors);
    }

    /// <summary>Starts one of ours, named as it is, or any program by its path.</summary>
    internal static ChildProcess Start(string program, params IEnumerable<string> arguments)
    {
        string name = Path.GetFileName(program), path = OwnPrograms.Find(program);
        return s_ignoresSignals
            ? ChildProcess.Start(name, "/usr/bin/env", ["--default-signal=HUP,INT", path, .. arguments], KeptLines)
            : ChildProcess.Start(name, path, arguments, KeptLines);
    }

    /// <summary>Starts one of ours with a variable in its environment.</summary>
    internal static ChildProcess StartWith(string variable, string program, params IEnumerable<string> arguments) =>
        Start("/usr/bin/env", [variable, OwnPrograms.Find(program), .. arguments]);

    /// <summary>Starts a server of ours and waits for its ready line.</summary>
    internal static Task<ChildProcess> StartReadyAsync(string program, params IEnumerable<string> arguments) => ReadyAsync(Start(program, arguments));

    /// <summary>Waits for a server's ready line.</summary>
    internal static async Task<ChildProcess> ReadyAsync(ChildProcess child)
    {
        try
        {
            await WaitForLineAsync(child, "ready");
            return child;
        }
        catch
        {
            await child.DisposeAsync();
            throw;
        }
    }

    /// <summary>Reads standard output up to the line that contains the text.</summary>
    internal static async Task WaitForLineAsync(ChildProcess child, string text)
    {
        using var limit = new CancellationTokenSource(Until.Patience);
        try
        {
            while (!(await child.Output.ReadAsync(limit.Token)).Contains(text, StringComparison.Ordinal))
            {
            }
        }
        catch (Exception e) when (e is OperationCanceledException or System.Threading.Channels.ChannelClosedException)
        {
            throw new TimeoutException($"{child.Name} did not write '{text}' within {Until.Patience.TotalSeconds} s, or exited; it wrote:\n{string.Join('\n', child.LastOutput)}");
        }
    }

    /// <summary>Runs a program until it exits.</summary>
    internal static async Task<Result> RunAsync(string program, params IEnumerable<string> arguments)
    {
        await using var child = Start(program, arguments);
        return await WaitForEndAsync(child);
    }

    /// <summary>Waits for a program to exit by itself.</summary>
    internal static async Task<Result> WaitForEndAsync(ChildProcess child)
    {
        await Task.WhenAny(child.Ended, Task.Delay(Until.Patience));
        if (!child.Ended.IsCompleted) throw new TimeoutException($"{child.Name} did not exit within {Until.Patience.TotalSeconds} s; it wrote:\n{string.Join('\n', child.LastOutput)}");
        var output = new List<string>();
        while (child.Output.TryRead(out var line)) output.Add(line);
        return new Result(child.ExitCode, output, child.LastErrors);
    }

    private static bool IsIgnored(int signal)
    {
        var mask = File.ReadLines("/proc/self/status").First(static line => line.StartsWith("SigIgn:", StringComparison.Ordinal))["SigIgn:".Length..];
        return (Convert.ToUInt64(mask.Trim(), 16) >> (signal - 1) & 1) != 0;
    }
}
