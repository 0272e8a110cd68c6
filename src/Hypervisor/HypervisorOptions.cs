using System.CommandLine;
using VmShunt.Trap.VmExit;

namespace VmShunt.Hypervisor;

/// <summary>What the command line asks for.</summary>
/// <param name="Socket">Where guests and observers connect.</param>
/// <param name="Devices">The emulated devices of every partition, in order.</param>
/// <param name="Linger">After how many seconds without a guest to end; null never.</param>
/// <param name="Patience">How long VM-H may take over what it is asked before it counts as lost.</param>
/// <param name="Wait">How long VM-H may take to come to be there at the start.</param>
internal sealed record HypervisorOptions(string Socket, IReadOnlyList<DeviceSpec> Devices, double? Linger, TimeSpan Patience, TimeSpan Wait)
{
    private const double DefaultPatience = 10, LongestSeconds = 3600;

    /// <summary>The command line; <paramref name="run"/> gets what it says.</summary>
    internal static RootCommand Command(Func<HypervisorOptions, int> run)
    {
        var socket = new Option<string>("--socket")
        {
            Description = "Unix socket to listen on for guests (VM-C) and observers",
            HelpName = "PATH",
            Required = true,
        };
        var device = new Option<string[]>("--device")
        {
            Description = "An emulated device of every guest, served by vmshunt-host: NAME,vhost-user=SOCKET,vfio-user=SOCKET. "
                + "May be given several times. Without vhost-user no bus is offered for it",
            HelpName = "SPEC",
            Required = true,
        };
        var linger = new Option<double?>("--linger")
        {
            Description = "End by itself when no guest has been connected for so many seconds",
            HelpName = "SECONDS",
        };
        var patience = Seconds("--patience", DefaultPatience, least: 0.1,
            "How many seconds VM-H may take over a register access, or to let go of a guest's memory, before it counts as lost; also how long a client may take to say who it is");
        var wait = Seconds("--wait", 0, least: 0, "How many seconds VM-H may take to come to be there at the start, for both to be started at once; 0: it must be there");
        var root = new RootCommand("The virtualization layer of VmShunt: partitions, memory, VM exits and the bus offer. "
            + "SIGUSR1 rescinds the bus of every device, SIGUSR2 offers it again; guests are told of both") { socket, device, linger, patience, wait };
        root.Validators.Add(result =>
        {
            var seconds = result.GetValue(linger);
            if (seconds is not (null or >= 0 and <= 1_000_000)) result.AddError($"--linger {seconds}: give 0 to 1000000 seconds");
            var specs = new List<DeviceSpec>();
            foreach (var text in result.GetValue(device) ?? [])
            {
                try
                {
                    specs.Add(DeviceSpec.Parse(text));
                }
                catch (FormatException e)
                {
                    result.AddError(e.Message);
                }
            }
            foreach (var twice in specs.GroupBy(s => s.Name).Where(g => g.Count() > 1)) result.AddError($"--device {twice.Key}: given {twice.Count()} times; each device needs a name of its own");
            if (specs.Count > GuestLayout.MaxDevices) result.AddError($"--device: given {specs.Count} times; a guest has room for {GuestLayout.MaxDevices}");
        });
        root.SetAction(parse => run(new HypervisorOptions(
            parse.GetRequiredValue(socket),
            [.. parse.GetRequiredValue(device).Select(DeviceSpec.Parse)],
            parse.GetValue(linger),
            TimeSpan.FromSeconds(parse.GetValue(patience)),
            TimeSpan.FromSeconds(parse.GetValue(wait)))));
        return root;
    }

    private static Option<double> Seconds(string name, double standard, double least, string description)
    {
        var option = new Option<double>(name) { Description = description, HelpName = "SECONDS", DefaultValueFactory = _ => standard };
        option.Validators.Add(result =>
        {
            var seconds = result.GetValueOrDefault<double>();
            if (!(seconds >= least && seconds <= LongestSeconds)) result.AddError($"{name} {seconds}: give {least} to {LongestSeconds} seconds");
        });
        return option;
    }
}
