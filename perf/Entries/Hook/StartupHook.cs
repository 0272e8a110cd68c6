using VmShunt.EntryHook;

// The runtime requires this name, outside of any namespace (DOTNET_STARTUP_HOOKS).
#pragma warning disable CA1050
internal static class StartupHook
{
    /// <summary>Called by the runtime before Main.</summary>
    public static void Initialize()
    {
        if (Environment.GetEnvironmentVariable("VMSHUNT_ENTRIES") is not { Length: > 0 } folder) return;
        // No dependency file names this assembly, so woven code finds it here, the guest's kernel in its own context too.
        AppDomain.CurrentDomain.AssemblyResolve += static (_, wanted) => wanted.Name.StartsWith(typeof(EntryCounter).Assembly.GetName().Name!, StringComparison.Ordinal) ? typeof(EntryCounter).Assembly : null;
        EntryCounter.Serve(Path.Combine(folder, $"{Environment.ProcessId}"));
    }
}
