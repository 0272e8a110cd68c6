using System.CommandLine;
using System.Text.Json.Nodes;
using VmShunt.Guest.Workloads;

namespace VmShunt.Guest.Commands.Measure;

/// <summary><c>race</c>: both stacks write the same blocks concurrently.</summary>
internal static class RaceCommand
{
    internal static Command Build(ICommandRunner runner)
    {
        var first = new Option<ulong>("--first-sector") { Required = true, Description = "the first sector of the blocks, which are overwritten" };
        var blocks = new Option<int>("--blocks") { DefaultValueFactory = _ => 16, Description = "the number of 4 KiB blocks, 1 to 256" };
        var rounds = new Option<int>("--rounds") { DefaultValueFactory = _ => 100, Description = "the number of rounds" };
        blocks.Validators.Add(r =>
        {
            if (r.GetValue(blocks) is < 1 or > 256) r.AddError("--blocks takes 1 to 256");
        });
        var command = new Command("race", "write the same blocks through both stacks concurrently, and check their content afterwards") { first, blocks, rounds };
        command.SetAction(r => runner.Run("race", session =>
        {
            var race = new RacingApplication(
                session.Disk("emulating"), session.Disk("enlightened"), session.Kernel.Pages, r.GetValue(first), r.GetValue(blocks));
            var result = race.RunAsync(r.GetValue(rounds)).GetAwaiter().GetResult();
            return new JsonObject
            {
                ["wonByEmulating"] = result.WonByOne,
                ["wonByEnlightened"] = result.WonByOther,
                ["torn"] = result.Torn,
                ["foreign"] = result.Foreign,
                ["disagreed"] = result.Disagreed,
                ["overtaken"] = result.Overtaken,
            };
        }));
        return command;
    }
}
