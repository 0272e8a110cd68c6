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

/// <summary>Counts the system calls of a running process and all of its threads.</summary>
internal sealed class SystemCallTrace : IAsyncDisposable
{
    private readonly Strace _strace;

    private SystemCallTrace(Strace strace) => _strace = strace;

    /// <summary>Begins to count. The process runs on, slower.</summary>
    internal static async Task<SystemCallTrace> AttachAsync(int processId) => new(await Strace.AttachAsync(processId, "-c", "-U", "calls,name"));

    /// <summary>Detaches.</summary>
    /// <returns>The calls since <see cref="AttachAsync"/>.</returns>
    internal async Task<SystemCalls> EndAsync()
    {
        var calls = new Dictionary<string, long>();
        foreach (var line in await _strace.EndAsync())
        {
            if (line.Split(' ', StringSplitOptions.RemoveEmptyEntries) is [var count, var name] && name != "total" && long.TryParse(count, out var number))
                calls[name] = number;
        }
        return new SystemCalls(calls);
    }

    public ValueTask DisposeAsync() => _strace.DisposeAsync();
}

/// <summary>A test that counts system calls; skipped where the machine does not let one process trace another.</summary>
public sealed class SystemCallFactAttribute : FactAttribute
{
    public SystemCallFactAttribute()
    {
        // In CI a missing strace is a failure; a machine that forbids tracing is no fault of the code.
        if (!Installed.IsContinuousIntegration || Installed.Find("strace") is not null) Skip = Strace.Refusal;
    }
}

/// <summary>A theory that counts system calls; skipped where the machine does not let one process trace another.</summary>
public sealed class SystemCallTheoryAttribute : TheoryAttribute
{
    public SystemCallTheoryAttribute()
    {
        // In CI what is not installed is a failure; a machine that forbids tracing is no fault of the code.
        if (!Installed.IsContinuousIntegration || Installed.Find("strace") is not null) Skip = Strace.Refusal;
    }
}
