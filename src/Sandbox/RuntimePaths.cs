using System.Runtime.CompilerServices;

namespace VmShunt.Sandbox;

/// <summary>The files that the runtime and libc read, in the native binary and under the JIT.</summary>
internal static class RuntimePaths
{
    // The dynamic linker's name is part of the ABI (System V ABI, AMD64, Program Interpreter).
    private const string Linker = "/lib64/ld-linux-x86-64.so.2";

    private static readonly string[] s_folders = ["/proc", "/sys/dev/block", "/sys/devices", "/sys/block", "/sys/class/block", "/sys/fs/cgroup", "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib"];

    private static readonly string[] s_files = ["/etc/ld.so.cache", "/etc/ld.so.preload", "/etc/localtime", "/dev/urandom", "/dev/random", "/dev/zero"];

    // Name resolution (nsswitch.conf(5), resolver(5)).
    private static readonly string[] s_names = ["/etc/nsswitch.conf", "/etc/hosts", "/etc/resolv.conf", "/etc/host.conf", "/etc/gai.conf", "/etc/services", "/etc/protocols"];

    // Certificate authorities and OpenSSL's configuration.
    private static readonly string[] s_certificates = ["/etc/ssl", "/etc/pki", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates", "/usr/lib/ssl"];

    /// <summary>Allows them.</summary>
    internal static void Allow(Landlock rules, SandboxNeeds needs)
    {
        foreach (var folder in s_folders) rules.Allow(folder, PathRights.Read);
        foreach (var file in s_files) rules.Allow(file, PathRights.ReadFile);
        rules.Allow("/dev/null", PathRights.ReadFile | PathRights.WriteFile);
        // To be executed anew, once; the seccomp filter forbids it afterwards.
        rules.Allow(Reexecution.Program, PathRights.ReadFile | PathRights.Execute);
        rules.Allow(Linker, PathRights.ReadFile | PathRights.Execute);
        foreach (var path in needs.UsesNetwork ? s_names : []) rules.Allow(path, PathRights.ReadFile);
        foreach (var path in needs.UsesTls ? s_certificates : []) rules.Allow(path, PathRights.Read);
        // Assemblies are loaded when they are first used.
        if (!RuntimeFeature.IsDynamicCodeSupported) return;
        rules.Allow(AppContext.BaseDirectory, PathRights.Read);
        // dotnet/shared/Microsoft.NETCore.App/VERSION/
        var framework = Path.GetFullPath(Path.Combine(System.Runtime.InteropServices.RuntimeEnvironment.GetRuntimeDirectory(), "..", "..", ".."));
        rules.Allow(framework, PathRights.Read);
        rules.Allow("/usr/share/zoneinfo", PathRights.Read);
        foreach (var hook in Environment.GetEnvironmentVariable("DOTNET_STARTUP_HOOKS")?.Split(':', StringSplitOptions.RemoveEmptyEntries) ?? [])
            rules.Allow(Path.GetDirectoryName(hook) is { Length: > 0 } folder ? folder : hook, PathRights.Read);
    }
}
