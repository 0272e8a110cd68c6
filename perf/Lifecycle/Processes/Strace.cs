using VmShunt.Perf.Launch;

namespace VmShunt.Perf.Lifecycle.Processes;

/// <summary><c>strace</c>, attached to a running process and all of its threads, or to one thread.</summary>
internal sealed class Strace : IAsyncDisposable
{
    private static readonly Lazy<string?> s_refusal = new(static () => Task.Run(AskAsync).GetAwaiter().GetResult());

    private readonly WorkFolder _folder = new();
    private readonly ChildProcess _strace;

    private Strace(int processId, IEnumerable<string> options) =>
        _strace = Programs.Start(Installed.Require("strace"), [.. options, "-o", _folder["calls"], "-p", $"{processId}"]);

    /// <summary>Why this machine does not let one process trace another, or null.</summary>
    internal static string? Refusal => s_refusal.Value;

    /// <summary>Attaches. The process runs on, slower.</summary>
    internal static Task<Strace> AttachAsync(int processId, params IEnumerable<string> options) => AttachToThreadAsync(processId, ["-f", .. options]);

    /// <summary>Attaches to one thread.</summary>
    internal static async Task<Strace> AttachToThreadAsync(int threadId, params IEnumerable<string> options)
    {
        var strace = new Strace(threadId, options);
        try
        {
            await Until.TrueAsync(() => strace.IsAttached || strace._strace.Ended.IsCompleted, "strace is attached");
            if (!strace.IsAttached) throw new GuestException($"strace cannot trace process {threadId}: {string.Join('\n', strace._strace.LastErrors)}");
            return strace;
        }
        catch
        {
            await strace.DisposeAsync();
            throw;
        }
    }

    /// <summary>Detaches.</summary>
    /// <returns>What strace wrote.</returns>
    internal async Task<IEnumerable<string>> EndAsync()
    {
        _ = Signal.Send(_strace.Id, Signal.Interrupt);
        await Programs.WaitForEndAsync(_strace);
        return File.ReadLines(_folder["calls"]);
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
