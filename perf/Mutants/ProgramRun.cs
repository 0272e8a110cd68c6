using System.Diagnostics;

namespace VmShunt.Perf.Mutants;

/// <summary>Runs a program to its end.</summary>
internal static class ProgramRun
{
    /// <summary>The code of a program that did not end within its time; it and its children were killed.</summary>
    internal const int TimedOut = -1;

    /// <returns>The exit code, and both streams.</returns>
    internal static async Task<(int Code, string Output)> RunAsync(string program, IEnumerable<string> arguments, TimeSpan limit, CancellationToken cancel)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        // Not cancelled with the process: its children may keep the streams open until they are killed too.
        var output = Task.WhenAll(process.StandardOutput.ReadToEndAsync(CancellationToken.None), process.StandardError.ReadToEndAsync(CancellationToken.None));
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        deadline.CancelAfter(limit);
        var code = TimedOut;
        try
        {
            await process.WaitForExitAsync(deadline.Token);
            code = process.ExitCode;
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            cancel.ThrowIfCancellationRequested();
        }
        // A build server that the program started may keep the streams.
        return await Task.WhenAny(output, Task.Delay(TimeSpan.FromSeconds(10), CancellationToken.None)) == output
            ? (code, string.Concat(await output))
            : (code, "");
    }
}
