using VmShunt.Perf.Launch;

namespace VmShunt.EndToEnd.Processes;

/// <summary>System calls that a process made, by name.</summary>
/// <param name="Calls">Only system calls that were made at least once.</param>
internal sealed record SystemCalls(IReadOnlyDictionary<string, long> Calls)
{
    internal long this[string name] => Calls.GetValueOrDefault(name);

    /// <summary>The number of all others.</summary>
    internal long Except(params IReadOnlyList<string> names) => Calls.Where(call => !names.Contains(call.Key)).Sum(static call => call.Value);

    public override string ToString() => string.Join(", ", Calls.OrderByDescending(static call => call.Value).Select(static call => $"{call.Value} {call.Key}"));
}

/// <summary>Counts the system calls of a running process and all of its threads, with <c>strace</c>.</summary>
internal sealed class SystemCallTrace : IAsyncDisposable
{
    private static readonly Lazy<string?> s_refusal = new(static () => Task.Run(AskAsync).GetAwaiter().GetResult());

    private readonly TestFolder _folder = new();
    private readonly ChildProcess _strace;

    private SystemCallTrace(int processId) =>
        _strace = Programs.Start(Installed.Require("strace"), "-f", "-c", "-U", "calls,name", "-o", _folder["counts"], "-p", $"{processId}");

    /// <summary>Why this machine does not let one process trace another, or null.</summary>
    internal static string? Refusal => s_refusal.Value;

    /// <summary>Begins to count. The process runs on, slower.</summary>
    internal static async Task<SystemCallTrace> AttachAsync(int processId)
    {
        var trace = new SystemCallTrace(processId);
        try
        {
            await Until.TrueAsync(() => trace.IsAttached || trace._strace.Ended.IsCompleted, "strace is attached");
            Assert.True(trace.IsAttached, $"strace cannot trace process {processId}: {string.Join('\n', trace._strace.LastErrors)}");
            return trace;
        }
        catch
        {
            await trace.DisposeAsync();
            throw;
        }
    }

    /// <summary>Detaches.</summary>
    /// <returns>The calls since <see cref="AttachAsync"/>.</returns>
    internal async Task<SystemCalls> EndAsync()
    {
        ProcessTable.Send(_strace.Id, Signal.Interrupt);
        await Programs.WaitForEndAsync(_strace);
        var calls = new Dictionary<string, long>();
        foreach (var line in File.ReadLines(_folder["counts"]))
        {
            if (line.Split(' ', StringSplitOptions.RemoveEmptyEntries) is [var count, var name] && name != "total" && long.TryParse(count, out var number))
                calls[name] = number;
        }
        return new SystemCalls(calls);
    }

    public async ValueTask DisposeAsync()
    {
        await _strace.DisposeAsync();
        _folder.Dispose();
    }

    private bool IsAttached => _strace.LastErrors.Any(static line => line.Contains(" attached", StringComparison.Ordinal));

    private static async Task<string?> AskAsync()
    {
        if (Installed.Find("strace") is not { } strace) return "strace is not installed";
        // Not a child of strace, which even a machine that forbids the rest lets it trace.
        await using var traced = Programs.Start(Installed.Require("sleep"), "60");
        await using var trace = Programs.Start(strace, "-f", "-c", "-p", $"{traced.Id}");
        await Until.TrueAsync(() => trace.LastErrors.Length > 0 || trace.Ended.IsCompleted, "strace reports whether it may attach");
        return trace.LastErrors is [var line, ..] && line.Contains(" attached", StringComparison.Ordinal)
            ? null
            : $"this machine does not let strace attach to another process (ptrace): {string.Join(' ', trace.LastErrors)}";
    }
}

/// <summary>A test that counts system calls; skipped where the machine does not let one process trace another.</summary>
public sealed class SystemCallFactAttribute : FactAttribute
{
    public SystemCallFactAttribute()
    {
        // In CI a missing strace is a failure; a machine that forbids tracing is no fault of the code.
        if (!Installed.IsContinuousIntegration || Installed.Find("strace") is not null) Skip = SystemCallTrace.Refusal;
    }
}

/// <summary>A theory that counts system calls; skipped where the machine does not let one process trace another.</summary>
public sealed class SystemCallTheoryAttribute : TheoryAttribute
{
    public SystemCallTheoryAttribute()
    {
        // In CI what is not installed is a failure; a machine that forbids tracing is no fault of the code.
        if (!Installed.IsContinuousIntegration || Installed.Find("strace") is not null) Skip = SystemCallTrace.Refusal;
    }
}
