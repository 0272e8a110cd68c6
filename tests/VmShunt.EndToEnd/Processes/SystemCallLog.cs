using System.Text.RegularExpressions;
using VmShunt.Perf.Launch;

namespace VmShunt.EndToEnd.Processes;

/// <summary>The system calls of a running process and all of its threads, in their order, with <c>strace</c>.</summary>
internal sealed partial class SystemCallLog : IAsyncDisposable
{
    private readonly TestFolder _folder = new();
    private readonly ChildProcess _strace;

    private SystemCallLog(int processId, IEnumerable<string> calls) =>
        _strace = Programs.Start(Installed.Require("strace"), "-f", "-e", $"trace={string.Join(',', calls)}", "-o", _folder["calls"], "-p", $"{processId}");

    /// <summary>Begins to log calls of these names. The process runs on, slower.</summary>
    internal static async Task<SystemCallLog> AttachAsync(int processId, IEnumerable<string> calls)
    {
        var log = new SystemCallLog(processId, calls);
        try
        {
            await Until.TrueAsync(
                () => log._strace.Ended.IsCompleted || log._strace.LastErrors.Any(static line => line.Contains(" attached", StringComparison.Ordinal)), "strace is attached");
            Assert.False(log._strace.Ended.IsCompleted, $"strace cannot trace process {processId}: {string.Join('\n', log._strace.LastErrors)}");
            return log;
        }
        catch
        {
            await log.DisposeAsync();
            throw;
        }
    }

    /// <summary>Detaches.</summary>
    /// <returns>The names of the calls since <see cref="AttachAsync"/>, in the order in which they were made.</returns>
    internal async Task<IReadOnlyList<string>> EndAsync()
    {
        ProcessTable.Send(_strace.Id, Signal.Interrupt);
        await Programs.WaitForEndAsync(_strace);
        return [.. File.ReadLines(_folder["calls"]).Select(static line => Call().Match(line)).Where(static match => match.Success).Select(static match => match.Groups[1].Value)];
    }

    public async ValueTask DisposeAsync()
    {
        await _strace.DisposeAsync();
        _folder.Dispose();
    }

    // A call that another thread's interrupts has a second line, "<... NAME resumed>".
    [GeneratedRegex(@"^\d+ +(\w+)\(")]
    private static partial Regex Call();
}
