using System.CommandLine;
using System.Text.Json.Nodes;
using VmShunt.Guest.Workloads;

namespace VmShunt.Guest.Commands.Measure;

/// <summary><c>replay</c>: runs the requests of a script and records the result of each.</summary>
internal static class ReplayCommand
{
    internal static Command Build(ICommandRunner runner)
    {
        var stack = StackOption.Create();
        var script = new Option<string>("--script") { Required = true, HelpName = "FILE", Description = "one request per line: read SECTOR BYTES, write SECTOR BYTES SEED, flush, discard SECTOR BYTES, zero SECTOR BYTES; 'wait' waits for all requests before it" };
        var transcript = new Option<string>("--transcript") { Required = true, HelpName = "FILE", Description = "the target file, one line per request: ok, with a hash of the data after a read, or the error" };
        var command = new Command("replay", "run the requests of a script and record the result of each") { stack, script, transcript };
        command.SetAction(r => runner.Run("replay", session =>
        {
            var lines = File.ReadAllLines(r.GetValue(script)!);
            using var writer = File.CreateText(r.GetValue(transcript)!);
            var disk = session.Disk(r.GetValue(stack));
            var before = disk.Counters;
            var requests = Replay.Run(disk, session.Kernel.Pages, lines, writer);
            var after = disk.Counters;
            return new JsonObject { ["requests"] = requests, ["trap"] = after.Trapped - before.Trapped, ["ring"] = after.Ringed - before.Ringed };
        }));
        return command;
    }
}
