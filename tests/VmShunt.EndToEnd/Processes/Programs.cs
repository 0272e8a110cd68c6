using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using VmShunt.Perf.Launch;

namespace VmShunt.EndToEnd.Processes;

/// <summary>Starts the executables that lie beside the tests, and others.</summary>
internal static class Programs
{
    private const int KeptLines = 2000;

    /// <summary>Any answer of a guest's console, as it is.</summary>
    internal static JsonTypeInfo<JsonElement> AnyAnswer { get; } = (JsonTypeInfo<JsonElement>)JsonSerializerOptions.Default.GetTypeInfo(typeof(JsonElement));

    /// <summary>What a program that has ended leaves.</summary>
    internal sealed record Ended(int ExitCode, IReadOnlyList<string> Output, IReadOnlyList<string> Errors)
    {
        internal string ErrorText => string.Join('\n', Errors);
    }

    /// <summary>Starts one of ours, named as it is, or any program by its path.</summary>
    internal static ChildProcess Start(string program, params IEnumerable<string> arguments) =>
        ChildProcess.Start(Path.GetFileName(program), Path.Combine(AppContext.BaseDirectory, program), arguments, KeptLines);

    /// <summary>Starts a server of ours and waits for its ready line.</summary>
    internal static async Task<ChildProcess> StartReadyAsync(string program, params IEnumerable<string> arguments)
    {
        var child = Start(program, arguments);
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

    /// <summary>Takes lines of standard output until one holds the text.</summary>
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
            Assert.Fail($"{child.Name} never said '{text}'; it said:\n{string.Join('\n', child.LastOutput)}");
        }
    }

    /// <summary>Runs a program to its end.</summary>
    internal static async Task<Ended> RunAsync(string program, params IEnumerable<string> arguments)
    {
        await using var child = Start(program, arguments);
        return await WaitForEndAsync(child);
    }

    /// <summary>Waits for a program to end by itself.</summary>
    internal static async Task<Ended> WaitForEndAsync(ChildProcess child)
    {
        await Task.WhenAny(child.Ended, Task.Delay(Until.Patience));
        Assert.True(child.Ended.IsCompleted, $"{child.Name} does not end; it said:\n{string.Join('\n', child.LastOutput)}");
        var output = new List<string>();
        while (child.Output.TryRead(out var line)) output.Add(line);
        return new Ended(child.ExitCode, output, child.LastErrors);
    }
}
