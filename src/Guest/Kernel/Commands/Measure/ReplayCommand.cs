using System.CommandLine;
using System.Text.Json.Nodes;
using VmShunt.Guest.Workloads;

namespace VmShunt.Guest.Commands.Measure;

/// <summary><c>replay</c>: does the requests of a script, and writes down what became of each.</summary>
internal static class ReplayCommand
{
    internal static Command Build(ICommandRunner runner)
    {
        var stack = StackOption.Create();
        var script = new Option<string>("--script") { Required = true, HelpName = "FILE", Description = "one request a line: read SECTOR BYTES, write SECTOR BYTES SEED, flush, discard SECTOR BYTES, zero SECTOR BYTES; 'wait' waits for those before it" };
        var transcript = new Option<string>("--transcript") { Required = true, HelpName = "FILE", Description = "where what became of each goes, a line each: ok, with a checksum of what was read, or the error" };
        var command = new Command("replay", "do the requests of a script and write down what became of each") { stack, script, transcript };
        command.SetAction(r => runner.Run("replay", session =>
        {
            var lines = File.ReadAllLines(r.GetValue(script)!);
            using var writer = File.CreateText(r.GetValue(transcript)!);
            return new JsonObject { ["requests"] = Replay.Run(session.Disk(r.GetValue(stack)), session.Kernel.Pages, lines, writer) };
        }));
        return command;
    }
}
