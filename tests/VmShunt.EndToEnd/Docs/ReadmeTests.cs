using System.Diagnostics;
using System.Text.RegularExpressions;
using VmShunt.EndToEnd.Processes;

namespace VmShunt.EndToEnd.Docs;

/// <summary>A fact that needs the packages in artifacts/packages. Without them it is skipped, but not in CI: there it runs, and fails.</summary>
public sealed class PackagesFactAttribute : FactAttribute
{
    public PackagesFactAttribute()
    {
        if (!Installed.IsContinuousIntegration && !Directory.Exists(Path.Combine(Repository.Root, "artifacts", "packages")))
            Skip = "artifacts/packages is missing: dotnet pack -c Release -o artifacts/packages";
    }
}

/// <summary>A user pastes the README's blocks of commands as they are.</summary>
public sealed partial class ReadmeTests : IDisposable
{
    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(10);

    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    // In a folder that sees the tree which these tests were built from, so what a block builds is built already.
    [Fact]
    public async Task The_three_processes_by_hand_work_when_the_block_is_pasted_as_a_whole() =>
        await PasteAsync(Block("$hypervisor --socket"), TreeInFolder(), dotnet: "return 0");

    [FactIfInstalled("qemu-system-x86_64")]
    public async Task The_block_for_QEMU_works_when_it_is_pasted_as_a_whole() =>
        await PasteAsync(Block("qemu-system-x86_64"), TreeInFolder(), dotnet: "return 0");

    // The packages were built before the tests; the template and the package are installed for this test alone.
    [PackagesFact]
    public async Task A_disk_of_ones_own_works_when_its_block_is_pasted_as_a_whole()
    {
        var tree = Directory.CreateDirectory(_folder["tree"]).FullName;
        foreach (var folder in new[] { "src", "artifacts" }) Directory.CreateSymbolicLink(Path.Combine(tree, folder), Path.Combine(Repository.Root, folder));
        var dotnet = $"""
            case "$1" in
            pack) ;;
            new) DOTNET_CLI_HOME={_folder["home"]} command dotnet "$@" ;;
            *) NUGET_PACKAGES={_folder["packages"]} command dotnet "$@" ;;
            esac
            """;
        await PasteAsync(Block("dotnet new vmshunt-disk"), tree, dotnet);
    }

    // The suite does not run itself; the long form pastes all blocks in a clone, builds included.
    [Fact]
    public async Task Every_block_works_when_it_is_pasted_as_a_whole_in_a_fresh_clone()
    {
        Assert.InRange(Blocks().Count, 3, int.MaxValue);
        if (!LongForm.IsSelected) return;
        var clone = _folder["clone"];
        await RunAsync(_folder[""], "git", "clone", "-q", Repository.Root, clone);
        foreach (var block in Blocks()) await PasteAsync(block, clone, dotnet: "[ \"$1\" = test ] || command dotnet \"$@\"");
    }

    private static IReadOnlyList<string> Blocks() =>
        [.. ShellBlock().Matches(File.ReadAllText(Path.Combine(Repository.Root, "README.md"))).Select(static match => match.Groups[1].Value)];

    private static string Block(string with) => Assert.Single(Blocks(), block => block.Contains(with, StringComparison.Ordinal));

    private string TreeInFolder()
    {
        Directory.CreateSymbolicLink(_folder["src"], Path.Combine(Repository.Root, "src"));
        return _folder[""];
    }

    private static async Task PasteAsync(string block, string folder, string dotnet)
    {
        var configuration = AppContext.BaseDirectory.Contains("/Release/", StringComparison.Ordinal) ? "Release" : "Debug";
        var commands = block.Replace("bin/Release/", $"bin/{configuration}/", StringComparison.Ordinal);
        await RunAsync(folder, "bash", "-euo", "pipefail", "-c", $"dotnet() {{ {dotnet}; }}\n{commands}");
    }

    private static async Task RunAsync(string folder, string program, params string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments) { WorkingDirectory = folder, RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment.Remove("VMSHUNT_LONG");
        using var process = Process.Start(start)!;
        using var limit = new CancellationTokenSource(s_limit);
        var (output, errors) = (process.StandardOutput.ReadToEndAsync(limit.Token), process.StandardError.ReadToEndAsync(limit.Token));
        try
        {
            await process.WaitForExitAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            Assert.Fail($"within {s_limit.TotalMinutes} minutes the block ends: {string.Join(' ', arguments)}");
        }
        Assert.True(process.ExitCode == 0, $"exit code {process.ExitCode}\n{await output}\n{await errors}");
    }

    [GeneratedRegex("```sh\n(.*?)```", RegexOptions.Singleline)]
    private static partial Regex ShellBlock();
}
