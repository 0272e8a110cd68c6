using System.CommandLine;
using VmShunt.Perf.Compare;
using VmShunt.Perf.Disks;
using VmShunt.Perf.Ends;
using VmShunt.Perf.Launch;
using VmShunt.Perf.Launch.Tracing;
using VmShunt.Terminal;

namespace VmShunt.Tool;

/// <summary>The command line of <c>vmshunt</c>: each program of this project as a command, and what runs them together.</summary>
internal static class ToolCommandLine
{
    private const string Name = "vmshunt";

    private static readonly (string Name, string Description)[] s_programs =
    [
        ("host", "VM-H, the host server: owns a disk and serves it over vhost-user and vfio-user (vmshunt-host)"),
        ("hypervisor", "the virtualization layer: partitions, VM exits, the bus offer (vmshunt-hypervisor)"),
        ("guest", "VM-C, the guest: reads, writes and measures its disk (vmshunt-guest)"),
        ("machine", "a physical machine that boots the guest's disk (vmshunt-machine)"),
    ];

    /// <summary>Parses the arguments and runs the command; a program takes this process's place.</summary>
    /// <returns>The exit code.</returns>
    internal static async Task<int> InvokeAsync(string[] args)
    {
        // What follows a program's name is the program's own, --help included.
        if (args is [var name, ..] && s_programs.Any(program => program.Name == name)) return ProgramStart.Replace($"vmshunt-{name}", args[1..]);
        return await CommandLineRun.InvokeAsync(Name, Build(), args);
    }

    private static RootCommand Build()
    {
        var root = new RootCommand("VmShunt: a guest's disk on an emulated controller and on a virtio ring, and the way from one to the other");
        // Listed here for --help and completion; InvokeAsync starts them.
        foreach (var (name, description) in s_programs) root.Add(new Command(name, description) { TreatUnmatchedTokensAsErrors = false });

        var launch = new Command("launch", "Starts VM-H, the hypervisor and VM-C on a disk, measures every path to it, and checks a crash dump.");
        LaunchCommand.AddTo(launch, Name);
        root.Add(launch);
        root.Add(TraceCommand.Build(Name));
        root.Add(CompareCommand.Build(Name));
        root.Add(PeerCommand.Build());
        root.Add(MakeDiskCommand.Build());

        var page = new Argument<string?>("program") { Arity = ArgumentArity.ZeroOrOne, Description = "The program whose page to show. Default: vmshunt." };
        page.AcceptOnlyFromAmong([.. s_programs.Select(static program => program.Name)]);
        var manual = new Command("man", "Shows the manual page of this command or of a program.") { page };
        manual.SetAction(parse => ManualPage.Show(parse.GetValue(page) is { } program ? $"{Name}-{program}" : Name));
        root.Add(manual);

        var shell = new Argument<string>("shell") { Description = "bash" };
        shell.AcceptOnlyFromAmong("bash");
        var completion = new Command("completion", "Prints a completion script: source <(vmshunt completion bash)") { shell };
        completion.SetAction(static async (_, cancel) =>
        {
            await using var script = typeof(ToolCommandLine).Assembly.GetManifestResourceStream("completion.bash")!;
            await using var output = Console.OpenStandardOutput();
            await script.CopyToAsync(output, cancel);
        });
        root.Add(completion);
        return root;
    }
}
