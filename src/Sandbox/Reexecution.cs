using System.Globalization;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;

namespace VmShunt.Sandbox;

/// <summary>
/// Executes the program anew in its own process: Landlock and capabilities hold for the thread that sets them, and for the
/// threads of the program that this thread executes. The process id, open descriptors and the environment stay.
/// </summary>
internal static class Reexecution
{
    // Names the process, so that a variable of a parent has no effect.
    private const string Variable = "VMSHUNT_SANDBOX_STATE";

    private const string Diagnostics = "DOTNET_EnableDiagnostics";

    /// <summary>What the program said about itself before it was executed anew; null if it was not.</summary>
    internal static string? TakeState()
    {
        if (Environment.GetEnvironmentVariable(Variable)?.Split(' ', 2) is not [var process, var state] || process != OwnId) return null;
        Environment.SetEnvironmentVariable(Variable, null);
        return state;
    }

    /// <summary>Reads what the program is to be executed with, which a restricted process may not read.</summary>
    /// <param name="state">What <see cref="TakeState"/> returns afterwards.</param>
    /// <returns>Executes the program anew from the calling thread. It returns only by an exception, an <see cref="IOException"/>.</returns>
    internal static Action Prepare(string state)
    {
        var variables = Strings("/proc/self/environ").Where(static entry => !entry.StartsWith(Variable + "=", StringComparison.Ordinal)).ToList();
        variables.Add($"{Variable}={OwnId} {state}");
        // The JIT runtime's diagnostic port is a socket in /tmp, which is out of reach.
        if (RuntimeFeature.IsDynamicCodeSupported && !variables.Exists(static entry => entry.StartsWith(Diagnostics + "=", StringComparison.Ordinal))) variables.Add($"{Diagnostics}=0");
        RemoveDiagnosticPort();
        var (path, arguments, environment) = (Program, Pointers(Strings("/proc/self/cmdline")), Pointers(variables));
        return () =>
        {
            _ = LinuxCall.Make(LinuxCall.Execve, LinuxCall.Text(path), arguments, environment);
            throw LinuxCall.Failure($"--sandbox on: executing {path} anew");
        };
    }

    /// <summary>The file of this program. Its name is the process's name, which /proc/self/exe would not give.</summary>
    internal static string Program => Environment.ProcessPath is { } path && File.Exists(path) ? path : "/proc/self/exe";

    private static string OwnId => Environment.ProcessId.ToString(CultureInfo.InvariantCulture);

    // The JIT runtime removes the files of its diagnostic port at an orderly exit only.
    private static void RemoveDiagnosticPort()
    {
        foreach (var name in new[] { "dotnet-diagnostic-", "clr-debug-pipe-" })
        {
            try
            {
                foreach (var file in Directory.GetFileSystemEntries(Path.GetTempPath(), $"{name}{OwnId}-*")) File.Delete(file);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // They stay, as after a kill.
            }
        }
    }

    // Latin-1 keeps every byte as it is.
    private static string[] Strings(string file) => Encoding.Latin1.GetString(File.ReadAllBytes(file)).Split('\0')[..^1];

    // They live until the program is replaced.
    private static nint[] Pointers(IEnumerable<string> texts) => [.. texts.Select(static text =>
    {
        var bytes = Encoding.Latin1.GetBytes(text);
        var copy = Marshal.AllocHGlobal(bytes.Length + 1);
        Marshal.Copy(bytes, 0, copy, bytes.Length);
        Marshal.WriteByte(copy, bytes.Length, 0);
        return copy;
    }), 0];
}
