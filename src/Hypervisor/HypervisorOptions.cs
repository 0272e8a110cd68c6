using System.CommandLine;
using VmShunt.Sandbox;
using VmShunt.Terminal;
using static VmShunt.Terminal.OptionCheck;

namespace VmShunt.Hypervisor;

/// <summary>The command line of <c>vmshunt-hypervisor</c>.</summary>
/// <param name="Socket">Where guests and observers connect.</param>
/// <param name="Devices">The emulated devices of every partition, in order.</param>
/// <param name="Linger">Seconds without a guest after which the hypervisor exits; null: never.</param>
/// <param name="ResponseTimeout">How long VM-H may take to answer before it counts as lost (<c>--patience</c>).</param>
/// <param name="Wait">How long to wait for VM-H's sockets at the start.</param>
/// <param name="State">What VM-H gets of a trapped access (<c>--trap-state</c>).</param>
/// <param name="Log">The form and the level of the log.</param>
/// <param name="Sandbox">What the hypervisor forbids itself.</param>
internal sealed record HypervisorOptions(
    string Socket, IReadOnlyList<DeviceSpec> Devices, double? Linger, TimeSpan ResponseTimeout, TimeSpan Wait, TrapState State, LogOptions Log, SandboxOptions Sandbox)
{
    private const double MaxLingerSeconds = 1_000_000, MaxSeconds = 3600;

    internal TrapTerms Trap => new(ResponseTimeout, State);

    /// <summary>What it needs of the system: its own socket, and a connection to VM-H for each guest.</summary>
    internal SandboxNeeds Needs => new([(Path.GetDirectoryName(Socket) is { Length: > 0 } folder ? folder : ".", PathRights.SocketFolder)], []) { Connects = true };

    /// <summary>Parses the arguments and runs <paramref name="run"/> with them.</summary>
    /// <returns>The exit code.</returns>
    internal static int Invoke(string[] args, Func<HypervisorOptions, int> run)
    {
        var socket = new Option<string>("--socket") { Required = true, HelpName = "PATH", Description = "the Unix socket on which guests (VM-C) and observers connect" };
        var device = new Option<string[]>("--device") { Required = true, HelpName = "SPEC", Description = $"an emulated disk of every guest, served by vmshunt-host: {DeviceSpec.Form}; may be given several times; without vhost-user the guest is offered no bus for it" };
        var linger = new Option<double?>("--linger") { HelpName = "SECONDS", Description = "exit when no guest has been connected for this long" };
        var responseTimeout = new Option<double>("--patience") { DefaultValueFactory = _ => 10, HelpName = "SECONDS", Description = "how long VM-H may take to answer a register access or to release a guest's memory before it counts as lost; also the limit for a new client's first message" };
        var wait = new Option<double>("--wait") { DefaultValueFactory = _ => 0, HelpName = "SECONDS", Description = "how long to wait for VM-H's sockets at the start, so that both can be started at once (0: fail at once)" };
        var state = new Option<string>("--trap-state") { DefaultValueFactory = _ => "access", HelpName = "FORM", Description = "what VM-H gets of a register access: access: region, offset, size and data; full: the registers of the suspended processor, too, and VM-H's answer says which of them change" };
        state.Validators.Add(r => Require(r.GetValue(state) is "access" or "full", r, $"--trap-state takes access or full, not '{r.GetValue(state)}'"));
        device.Validators.Add(r =>
        {
            if (DeviceSpec.FindProblem(r.GetValueOrDefault<string[]>() ?? []) is { } problem) r.AddError(problem);
        });
        linger.Validators.Add(r => Require(r.GetValue(linger) is >= 0 and <= MaxLingerSeconds, r, $"--linger takes 0 to {MaxLingerSeconds} seconds"));
        responseTimeout.Validators.Add(r => Require(r.GetValue(responseTimeout) is >= 0.1 and <= MaxSeconds, r, $"--patience takes 0.1 to {MaxSeconds} seconds"));
        wait.Validators.Add(r => Require(r.GetValue(wait) is >= 0 and <= MaxSeconds, r, $"--wait takes 0 to {MaxSeconds} seconds"));

        var root = new RootCommand("The virtualization layer of VmShunt: creates partitions and their memory, routes VM exits to VM-H and offers the bus. "
            + "SIGUSR1 rescinds the bus of every device, SIGUSR2 offers it again; guests are notified of both")
        {
            socket, device, linger, responseTimeout, wait, state,
        };
        var log = LogOptions.AddTo(root);
        var sandbox = SandboxOptions.AddTo(root);
        root.SetAction(r => run(new HypervisorOptions(
            r.GetValue(socket)!,
            [.. r.GetValue(device)!.Select(DeviceSpec.Parse)],
            r.GetValue(linger),
            TimeSpan.FromSeconds(r.GetValue(responseTimeout)),
            TimeSpan.FromSeconds(r.GetValue(wait)),
            r.GetValue(state) == "full" ? TrapState.Full : TrapState.Access,
            log(r),
            sandbox(r))));
        return CommandLineRun.Invoke("vmshunt-hypervisor", root, args);
    }
}
