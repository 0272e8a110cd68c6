using System.CommandLine;
using System.Globalization;
using VmShunt.Terminal;

namespace VmShunt.Sandbox;

/// <summary>A server's <c>--sandbox</c>, <c>--user</c>, <c>--allow-path</c> and <c>--allow-connect</c>.</summary>
/// <param name="Mode">What the program forbids itself.</param>
/// <param name="User">Whose rights it takes; null: it keeps its own.</param>
/// <param name="Paths">Further files and folders that it may read and write.</param>
/// <param name="Ports">Further TCP ports that it may connect to.</param>
/// <param name="Probe">For tests: what to try from inside (<see cref="SandboxProbe"/>).</param>
internal sealed record SandboxOptions(SandboxMode Mode, string? User, IReadOnlyList<string> Paths, IReadOnlyList<int> Ports, string? Probe = null)
{
    /// <summary>Without any of the options.</summary>
    internal static SandboxOptions None { get; } = new(SandboxMode.Off, null, [], []);

    /// <summary>Adds the options to a program's command line.</summary>
    /// <returns>Reads them from what was parsed.</returns>
    internal static Func<ParseResult, SandboxOptions> AddTo(Command command)
    {
        var mode = new Option<string>("--sandbox") { DefaultValueFactory = _ => "off", HelpName = "off|log|on", Description = "what this process may do once it serves: on (only its own disk and sockets, no capabilities, and the system calls that it needs; executing a program kills it), log (everything; the kernel logs the system calls that on would refuse) or off. docs/sandbox.md" };
        var user = new Option<string?>("--user") { HelpName = "NAME", Description = "with --sandbox on: serve with the rights of this user and of the user's group, when started as root" };
        var paths = new Option<string[]>("--allow-path") { HelpName = "PATH", DefaultValueFactory = _ => [], Description = "with --sandbox on: a further file or folder to read and write; may be given several times" };
        var ports = new Option<string[]>("--allow-connect") { HelpName = "PORT", DefaultValueFactory = _ => [], Description = "with --sandbox on: a further TCP port to connect to; may be given several times" };
        var probe = new Option<string?>("--sandbox-probe") { Hidden = true };
        mode.Validators.Add(r => OptionCheck.Require(TryParse(r.GetValue(mode)!, out _), r, "--sandbox takes off, log or on"));
        ports.Validators.Add(r => OptionCheck.Require(r.GetValue(ports)!.All(static port => TryParsePort(port, out _)), r, "--allow-connect takes a TCP port, 1 to 65535"));
        foreach (var option in (Option[])[mode, user, paths, ports, probe]) command.Options.Add(option);
        command.Validators.Add(r => OptionCheck.Require(
            r.GetValue(mode) == "on" || (r.GetValue(user) is null && r.GetValue(paths) is null or [] && r.GetValue(ports) is null or []),
            r,
            "--user, --allow-path and --allow-connect are for --sandbox on"));
        return parsed => new SandboxOptions(
            TryParse(parsed.GetValue(mode)!, out var parsedMode) ? parsedMode : SandboxMode.Off,
            parsed.GetValue(user),
            parsed.GetValue(paths) is { Length: > 0 } given ? given : [],
            parsed.GetValue(ports) is { Length: > 0 } numbers ? [.. numbers.Select(static text => TryParsePort(text, out var port) ? port : 0)] : [],
            parsed.GetValue(probe));
    }

    private static bool TryParse(string text, out SandboxMode mode)
    {
        (mode, var isMode) = text switch { "off" => (SandboxMode.Off, true), "log" => (SandboxMode.Log, true), "on" => (SandboxMode.On, true), _ => (SandboxMode.Off, false) };
        return isMode;
    }

    private static bool TryParsePort(string text, out int port) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out port) && port is >= 1 and <= 65535;
}
