using System.Text.RegularExpressions;

namespace VmShunt.EndToEnd.Processes;

/// <summary>The system calls of a running process and all of its threads, in their order.</summary>
internal sealed partial class SystemCallLog : IAsyncDisposable
{
    private readonly Strace _strace;

    private SystemCallLog(Strace strace) => _strace = strace;

    /// <summary>Begins to log calls of these names. The process runs on, slower.</summary>
    internal static async Task<SystemCallLog> AttachAsync(int processId, IEnumerable<string> calls) =>
        new(await Strace.AttachAsync(processId, "-e", $"trace={string.Join(',', calls)}"));

    /// <summary>Detaches.</summary>
    /// <returns>The names of the calls since <see cref="AttachAsync"/>, in the order in which they were made.</returns>
    internal async Task<IReadOnlyList<string>> EndAsync() =>
        [.. (await _strace.EndAsync()).Select(static line => Call().Match(line)).Where(static match => match.Success).Select(static match => match.Groups[1].Value)];

    public ValueTask DisposeAsync() => _strace.DisposeAsync();

    // A call that another thread's interrupts has a second line, "<... NAME resumed>".
    [GeneratedRegex(@"^\d+ +(\w+)\(")]
    private static partial Regex Call();
}
