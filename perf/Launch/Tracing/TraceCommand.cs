using System.CommandLine;
using VmShunt.Perf.Measure;

namespace VmShunt.Perf.Launch.Tracing;

/// <summary>The command <c>trace</c>: draws the path of one request on each stack.</summary>
internal static class TraceCommand
{
    /// <param name="program">What runs it, as a user would write it.</param>
    internal static Command Build(string program = LaunchOptions.ByProject)
    {
        var disk = new Option<string?>("--disk") { Description = "A raw disk image or block device. It is only read unless --allow-writes is given. Default: a temporary disk made for this trace." };
        var allowWrites = new Option<bool>("--allow-writes") { Description = "Allow writes to --disk: --operation write writes the content that its first sectors have already." };
        var operation = new Option<string>("--operation") { Description = "The request: read, write (of the content that the range has already) or flush.", DefaultValueFactory = static _ => "read" };
        operation.AcceptOnlyFromAmong("read", "write", "flush");
        var paths = new Option<string[]>("--path")
        {
            AllowMultipleArgumentsPerToken = true,
            Description = "The paths to trace.",
            DefaultValueFactory = static _ => [DiskPath.Trap, DiskPath.Shunted, DiskPath.Ring],
        };
        paths.AcceptOnlyFromAmong(DiskPath.Trap, DiskPath.Alternate, DiskPath.Shunted, DiskPath.Ring);
        var json = new Option<string?>("--json") { Description = "Write the traces to this file as JSON." };
        var command = new Command("trace", "Starts VM-H, the hypervisor and VM-C on a disk, and draws the path of one request on each stack with the time of each hop.") { disk, allowWrites, operation, paths, json };
        command.Validators.Add(result =>
        {
            if (result.GetValue(disk) is not null && result.GetValue(operation) == "write" && !result.GetValue(allowWrites))
                result.AddError("--operation write on --disk needs --allow-writes");
        });
        command.SetAction(async (parse, unused) =>
        {
            var options = new LaunchOptions
            {
                Program = program,
                Disk = parse.GetValue(disk),
                AllowWrites = parse.GetValue(allowWrites),
                JsonFile = parse.GetValue(json),
            };
            using var stop = new StopSignals();
            var launcher = new Launcher(options, Consoles.Output(), Consoles.Errors(), static socket => new HypervisorTrapCounter(socket), stop.Token);
            var code = await launcher.RunAsync(
                (processes, log, folder) => new TraceStory(options, processes, log, folder).RunAsync(parse.GetValue(operation)!, parse.GetValue(paths)!),
                (result, log) => LaunchOutput.Save(options.JsonFile, result.ToJson() + "\n", "traces", log));
            return stop.ExitCode ?? code;
        });
        return command;
    }
}
