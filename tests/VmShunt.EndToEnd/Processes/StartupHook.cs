using System.Runtime.InteropServices;

// The runtime requires this name, outside of any namespace (DOTNET_STARTUP_HOOKS).
#pragma warning disable CA1050

/// <summary>
/// Runs before Main in a program that a test starts with <see cref="Variable"/>: takes the JIT runtime's SIGBUS handler away,
/// so that the process is as a native binary, which has none and ignores the variable.
/// </summary>
internal static class StartupHook
{
    private const int SIGBUS = 7;
    private const nint SIG_DFL = 0, SIG_ERR = -1;

    internal static string Variable => $"DOTNET_STARTUP_HOOKS={typeof(StartupHook).Assembly.Location}";

    /// <summary>Called by the runtime.</summary>
    public static void Initialize()
    {
        if (Signal(SIGBUS, SIG_DFL) == SIG_ERR) throw new InvalidOperationException("signal(2) failed");
    }

    [DllImport("libc", EntryPoint = "signal", SetLastError = true)]
    private static extern nint Signal(int signal, nint handler);
}
