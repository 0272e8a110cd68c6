using VmShunt.EndToEnd.Processes;
using VmShunt.Perf.Launch;

namespace VmShunt.EndToEnd.Packaging;

/// <summary>A fact about the Debian package. Where none was made the test is skipped, but not in CI: there it runs, and fails.</summary>
public sealed class FactIfPackagedAttribute : FactAttribute
{
    /// <param name="program">A program of the machine that the fact needs, too.</param>
    public FactIfPackagedAttribute(string? program = null)
    {
        Program = program;
        if (DebianPackage.Find() is null && !Installed.IsContinuousIntegration)
            Skip = "there is no package in artifacts/packages; dotnet build packaging -c Release makes it";
        else if (program is not null && Installed.Find(program) is null && !Installed.IsContinuousIntegration) Skip = $"{program} is not installed";
        else if (!SmallFileSystem.IsAllowed()) Skip = "user and mount namespaces are not allowed here (unshare --map-root-user --mount)";
    }

    /// <summary>The program's name.</summary>
    public string? Program { get; }
}

/// <summary>The package, unpacked into a root folder that has the libraries of its dependencies and nothing else: no .NET, no shell.</summary>
public sealed class DebianPackage : IAsyncLifetime, IDisposable
{
    private readonly TestFolder _root = new();

    /// <summary>A path in the root, as this process sees it.</summary>
    internal string this[string path] => _root[path];

    /// <returns>The package's path, or null.</returns>
    internal static string? Find()
    {
        var folder = Path.Combine(Repository.Root, "artifacts", "packages");
        return Directory.Exists(folder) ? Directory.EnumerateFiles(folder, "vmshunt_*_amd64.deb").SingleOrDefault() : null;
    }

    public async Task InitializeAsync()
    {
        if (Find() is not { } package) return;
        Directory.CreateDirectory(_root["proc"]);
        await SucceedAsync(Installed.Require("dpkg-deb"), "-x", package, _root.Path);
        var libraries = await SucceedAsync(Installed.Require("ldd"), _root["usr/bin/vmshunt-host"], _root["usr/bin/vmshunt-hypervisor"]);
        // Not linked: the hypervisor loads it when it needs it.
        foreach (var library in new[] { "libssl.so.3", "libcrypto.so.3" }) Copy(Path.Combine("/usr/lib/x86_64-linux-gnu", library));
        // "libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)", and the loader's line, which has its path alone.
        foreach (var library in libraries.SelectMany(static line => line.Split(' ')).Select(static word => word.Trim()).Where(static word => word.StartsWith("/lib", StringComparison.Ordinal)).Distinct())
            Copy(library);

        void Copy(string library)
        {
            var copy = _root[library[1..]];
            Directory.CreateDirectory(Path.GetDirectoryName(copy)!);
            File.Copy(library, copy);
        }
    }

    /// <summary>Starts a program of the package in the root, with no variable in its environment.</summary>
    internal ChildProcess Start(string program, params IEnumerable<string> arguments) => Start("true", [], [], [$"/usr/bin/{program}", .. arguments]);

    /// <summary>Starts a command in the root.</summary>
    /// <param name="prepare">A shell command before it, in a mount namespace that only the command has.</param>
    /// <param name="environment">Its whole environment, NAME=VALUE.</param>
    /// <param name="starter">A program of the machine that executes it.</param>
    /// <param name="command">The program, by its path in the root, and its arguments.</param>
    internal ChildProcess Start(string prepare, IEnumerable<string> environment, IEnumerable<string> starter, IEnumerable<string> command)
    {
        // The programs need /proc, as every root has it; it is mounted where only the program sees it.
        var enter = $"{prepare} && mount --rbind /proc '{_root["proc"]}' && exec env -i \"$@\"";
        return Programs.Start(
            Installed.Require("unshare"),
            ["--map-root-user", "--mount", "sh", "-c", enter, "sh", .. environment, .. starter, Installed.Require("chroot"), _root.Path, .. command]);
    }

    /// <summary>Runs a program of the package in the root until it exits; the test fails if the program does.</summary>
    /// <returns>Its output.</returns>
    internal async Task<IReadOnlyList<string>> RunAsync(string program, params IEnumerable<string> arguments)
    {
        await using var child = Start(program, arguments);
        return Succeeded(program, await Programs.WaitForEndAsync(child));
    }

    /// <summary>Runs a program of the machine; the test fails if the program does.</summary>
    /// <returns>Its output.</returns>
    internal static async Task<IReadOnlyList<string>> SucceedAsync(string program, params IEnumerable<string> arguments) =>
        Succeeded(program, await Programs.RunAsync(program, arguments));

    public Task DisposeAsync() => Task.CompletedTask;

    public void Dispose() => _root.Dispose();

    private static IReadOnlyList<string> Succeeded(string program, Programs.Result ended)
    {
        Assert.True(ended.ExitCode == 0, $"{program} exited with {ended.ExitCode}: {ended.ErrorText}");
        return ended.Output;
    }
}
