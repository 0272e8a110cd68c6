using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using VmShunt.Terminal;

namespace VmShunt.Sandbox;

/// <summary>
/// A server's confinement, in two steps. <see cref="Enter"/> comes first: it gives privileges up, restricts files and ports by
/// Landlock and executes the program anew, which then opens its disk and sockets. <see cref="Seal"/> comes when all is open:
/// a seccomp filter for every thread.
/// </summary>
internal sealed class Confinement
{
    private readonly SandboxOptions _options;
    private readonly SandboxNeeds _needs;
    private readonly string _state;

    private Confinement(SandboxOptions options, SandboxNeeds needs, string state) => (_options, _needs, _state) = (options, needs, state);

    /// <summary>Confines this process as far as it can be before its disk and sockets are open. Where that takes a new program, it does not return.</summary>
    /// <returns>Null: there is no sandbox.</returns>
    /// <exception cref="IOException">The kernel refused.</exception>
    internal static Confinement? Enter(SandboxOptions options, Func<SandboxNeeds> findNeeds)
    {
        if (options.Mode == SandboxMode.Off) return null;
        var needs = findNeeds();
        if (!OperatingSystem.IsLinux() || RuntimeInformation.ProcessArchitecture != Architecture.X64)
            throw new IOException("--sandbox is available on Linux on x86-64 only; use --sandbox off, and confine the process from outside (docs/sandbox.md)");
        if (options.Mode == SandboxMode.Log) return new Confinement(options, needs, "the kernel logs system calls that --sandbox on would refuse");
        if (Reexecution.TakeState() is not { } state)
        {
            Restrict(options, needs);
            return null;
        }
        if (!Privileges.AreFinal) throw new IOException("--sandbox on: this process can still gain privileges although it was executed anew; start it without VMSHUNT_SANDBOX_STATE");
        AppContext.SetData(CommandLineRun.RefusalHint, "; --sandbox on may refuse it (docs/sandbox.md)");
        return new Confinement(options, needs, state);
    }

    /// <summary>Puts every thread under the seccomp filter. Call it when all that the options name is open.</summary>
    /// <returns>What the process is confined by, for the log.</returns>
    /// <exception cref="IOException">The kernel refused.</exception>
    internal string Seal()
    {
        if (_options.Mode == SandboxMode.Log) Privileges.MakeFinal();
        var isNative = !RuntimeFeature.IsDynamicCodeSupported;
        // Loads the libraries of TLS and hashes, whose code the filter of a native binary refuses to map.
        if (isNative) _ = SHA256.HashData([]);
        var rules = CallList.For(_needs, isNative, Environment.ProcessId);
        CallFilter.Install(CallFilter.Compile(rules, CallList.Fatal, _options.Mode == SandboxMode.Log));
        if (_options.Probe is { } probe) SandboxProbe.Run(probe, isNative);
        return _options.Mode == SandboxMode.Log ? _state : $"{_state}, seccomp with {rules.Count} system calls";
    }

    private static void Restrict(SandboxOptions options, SandboxNeeds needs)
    {
        // systemd's notification socket may be abstract.
        var notifies = Environment.GetEnvironmentVariable("NOTIFY_SOCKET")?.StartsWith('@') == true;
        using var rules = Landlock.TryCreate(keepsAbstractSockets: notifies);
        if (rules is not null)
        {
            RuntimePaths.Allow(rules, needs);
            foreach (var (path, rights) in needs.Paths) rules.Allow(path, rights);
            foreach (var path in options.Paths) rules.Allow(path, PathRights.Everything);
            foreach (var port in needs.Ports.Concat(options.Ports)) rules.AllowConnect(port);
        }
        var execute = Reexecution.Prepare(rules is null ? "no Landlock, which this kernel lacks: every file of its user is in reach" : $"Landlock version {Landlock.Version}");
        Privileges.GiveUp(options.User);
        rules?.RestrictThread();
        execute();
    }
}
