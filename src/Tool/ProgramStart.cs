using System.Collections;
using System.Runtime.InteropServices;
using VmShunt.Perf.Launch;
using VmShunt.Terminal;

namespace VmShunt.Tool;

/// <summary>
/// Starts a program in this process's place (execve(2)): it has the process id, the standard streams and the terminal, gets
/// the signals, and its exit code is the process's.
/// </summary>
internal static class ProgramStart
{
    // As a shell reports a program that exists and cannot be executed.
    private const int CannotStart = 126;

    /// <summary>Starts a program of this project.</summary>
    /// <returns>Only if the program cannot be started: an exit code, after a line on standard error.</returns>
    internal static int Replace(string program, string[] args)
    {
        var path = OwnPrograms.Find(program);
        return ReplaceByPath(path, args, reason => $"{program} cannot be started from {path}: {reason}; install the tool again, or name another binary (VMSHUNT_HOST, VMSHUNT_HYPERVISOR)");
    }

    /// <summary>Starts any program.</summary>
    /// <param name="path">Its path.</param>
    /// <param name="args">Its arguments.</param>
    /// <param name="message">What to say if it cannot be started, from the system's reason.</param>
    /// <returns>Only if the program cannot be started: an exit code.</returns>
    internal static int ReplaceByPath(string path, string[] args, Func<string, string> message)
    {
        var environment = Environment.GetEnvironmentVariables();
        // The executables search the usual places for the runtime; this process may use one from elsewhere.
        if (!environment.Contains(ChildProcess.RootVariable)) environment[ChildProcess.RootVariable] = ChildProcess.RuntimeRoot;
        _ = Execute(path, [path, .. args, null], [.. environment.Cast<DictionaryEntry>().Select(static variable => $"{variable.Key}={variable.Value}"), null]);
        // Before the console is used, whose calls have errors of their own.
        var reason = Marshal.GetLastPInvokeErrorMessage();
        ErrorLine.Write($"vmshunt: {message(reason)}");
        return CannotStart;
    }

    // LPStr is UTF-8 on Linux.
    [DllImport("libc", EntryPoint = "execve", SetLastError = true)]
    private static extern int Execute(
        [MarshalAs(UnmanagedType.LPUTF8Str)] string path,
        [MarshalAs(UnmanagedType.LPArray, ArraySubType = UnmanagedType.LPStr)] string?[] arguments,
        [MarshalAs(UnmanagedType.LPArray, ArraySubType = UnmanagedType.LPStr)] string?[] environment);
}
