using VmShunt.EndToEnd.Processes;
using VmShunt.Perf.Launch;

namespace VmShunt.EndToEnd.Tool;

/// <summary>A fact about the tool's package. Where none was made the test is skipped, but not in CI: there it runs, and fails.</summary>
public sealed class FactIfPackedAttribute : FactAttribute
{
    public FactIfPackedAttribute()
    {
        if (InstalledTool.Packages.Count == 0 && !Installed.IsContinuousIntegration)
            Skip = "there is no VmShunt.Tool package in artifacts/packages; dotnet pack src/Tool -c Release -o artifacts/packages makes it";
    }
}

/// <summary>The tool, installed from its package into a folder of the test, as docs/installing.md says.</summary>
public sealed class InstalledTool : IAsyncLifetime, IDisposable
{
    private readonly TestFolder _folder = new();

    /// <summary>The tool's packages; one, if it was made.</summary>
    internal static IReadOnlyList<string> Packages { get; } = Find("VmShunt.Tool.*.nupkg");

    /// <summary>The command.</summary>
    internal string Command => _folder["tool/vmshunt"];

    /// <summary>A path in the test's folder.</summary>
    internal string this[string name] => _folder[name];

    /// <returns>The packages of a name in artifacts/packages.</returns>
    internal static IReadOnlyList<string> Find(string pattern)
    {
        var folder = Path.Combine(Repository.Root, "artifacts", "packages");
        return Directory.Exists(folder) ? Directory.GetFiles(folder, pattern) : [];
    }

    public async Task InitializeAsync()
    {
        if (Packages is not [var package]) return;
        // The folder is the only source, and the cache is the test's own, so that another build of the same version is not taken.
        File.WriteAllText(_folder["nuget.config"], $"<configuration><packageSources><clear /><add key=\"local\" value=\"{Path.GetDirectoryName(package)}\" /></packageSources></configuration>");
        var version = Path.GetFileNameWithoutExtension(package)["VmShunt.Tool.".Length..];
        var installed = await Programs.WaitForEndAsync(Programs.StartWith(
            $"NUGET_PACKAGES={_folder["cache"]}", Path.Combine(ChildProcess.RuntimeRoot, "dotnet"),
            "tool", "install", "VmShunt.Tool", "--version", version, "--tool-path", _folder["tool"], "--configfile", _folder["nuget.config"]));
        Assert.True(installed.ExitCode == 0, $"{string.Join('\n', installed.Output)}\n{installed.ErrorText}");
    }

    public Task DisposeAsync() => Task.CompletedTask;

    public void Dispose() => _folder.Dispose();
}
