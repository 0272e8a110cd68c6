using System.CommandLine;
using System.CommandLine.Invocation;

namespace VmShunt.Terminal;

/// <summary>Runs a program's command line: whatever ends it is one line on standard error with the program's name.</summary>
public static class CommandLineRun
{
    /// <summary>The exit code of a program that did not do what it was asked for.</summary>
    public const int Failed = 1;

    /// <summary>The exit code of a program that has a fault.</summary>
    public const int Faulty = 70;

    /// <summary>
    /// The data of <see cref="AppContext"/> that ends a message about what the system refuses, where this program knows why it may. VmShunt.Ring reads it by
    /// this name, too.
    /// </summary>
    public const string RefusalHint = "VmShunt.RefusalHint";

    private const string TraceVariable = "VMSHUNT_TRACE";

    /// <summary>Parses the arguments and runs the command.</summary>
    /// <param name="program">The program's name.</param>
    /// <param name="root">Its commands. Their values are made strict (<see cref="StrictValues"/>).</param>
    /// <param name="args">The arguments.</param>
    /// <returns>The exit code.</returns>
    public static int Invoke(string program, RootCommand root, IReadOnlyList<string> args) =>
        Guard(program, () => TryParse(program, root, args, out var parsed) ? parsed.Invoke(new InvocationConfiguration { EnableDefaultExceptionHandler = false }) : Failed);

    /// <summary>Parses the arguments and runs the command. Its cancellation by a signal is the command's own.</summary>
    /// <param name="program">The program's name.</param>
    /// <param name="root">Its commands. Their values are made strict.</param>
    /// <param name="args">The arguments.</param>
    /// <returns>The exit code.</returns>
    public static Task<int> InvokeAsync(string program, RootCommand root, IReadOnlyList<string> args) => GuardAsync(program, async () =>
        TryParse(program, root, args, out var parsed)
            ? await parsed.InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null })
            : Failed);

    /// <summary>Parses the arguments.</summary>
    /// <param name="program">The program's name.</param>
    /// <param name="root">Its commands. Their values are made strict.</param>
    /// <param name="args">The arguments.</param>
    /// <param name="parsed">What was parsed.</param>
    /// <returns>False: a line on standard error says what is wrong.</returns>
    public static bool TryParse(string program, RootCommand root, IReadOnlyList<string> args, out ParseResult parsed)
    {
        ArgumentNullException.ThrowIfNull(root);
        StrictValues.Apply(root);
        parsed = root.Parse(args);
        if (parsed.Action is not ParseErrorAction) return true;
        Reject(program, string.Join(' ', parsed.Errors.Select(static error => error.Message)));
        return false;
    }

    /// <summary>Says on standard error that the arguments are wrong.</summary>
    /// <param name="program">The program's name.</param>
    /// <param name="message">What is wrong.</param>
    /// <returns>The exit code.</returns>
    public static int Reject(string program, string message)
    {
        ArgumentNullException.ThrowIfNull(message);
        var words = message.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
        ErrorLine.Write($"{program}: {string.Join(' ', words).TrimEnd('.')}; see {program} --help");
        return Failed;
    }

    /// <summary>Runs a program's body.</summary>
    /// <param name="program">The program's name.</param>
    /// <param name="body">Returns the exit code.</param>
    /// <returns>The exit code; when the body throws, a line on standard error says why.</returns>
    public static int Guard(string program, Func<int> body)
    {
        ArgumentNullException.ThrowIfNull(body);
        try
        {
            return body();
        }
        catch (Exception e)
        {
            return Report(program, e);
        }
    }

    private static async Task<int> GuardAsync(string program, Func<Task<int>> body)
    {
        try
        {
            return await body();
        }
        catch (Exception e)
        {
            return Report(program, e);
        }
    }

    private static int Report(string program, Exception thrown)
    {
        // Concurrent requests that fail throw an AggregateException.
        var cause = thrown is AggregateException { InnerException: { } inner } ? inner : thrown;
        if (Environment.GetEnvironmentVariable(TraceVariable) == "1") ErrorLine.Write(thrown.ToString());
        var isFault = IsFault(cause);
        ErrorLine.Write(isFault ? $"{program}: a fault of this program: {cause.Message}; {TraceVariable}=1 shows where, for a report" : $"{program}: {WithHint(cause)}");
        return isFault ? Faulty : Failed;
    }

    private static string WithHint(Exception e) =>
        (e is UnauthorizedAccessException || e.InnerException is UnauthorizedAccessException) && AppContext.GetData(RefusalHint) is string hint
            ? e.Message.TrimEnd('.') + hint
            : e.Message;

    // Not what a user, a file or a peer can cause.
    private static bool IsFault(Exception e) =>
        e is NullReferenceException or IndexOutOfRangeException or InvalidCastException or ArgumentException or KeyNotFoundException or NotImplementedException or ArithmeticException;
}
