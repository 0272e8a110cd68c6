using System.CommandLine;
using System.Text.Json.Nodes;

namespace VmShunt.Guest.Commands.Shunt;

/// <summary><c>reverse-shunt</c>: what the enlightened stack's shunt does, live.</summary>
internal static class ReverseShuntCommand
{
    internal static Command Build(ICommandRunner runner)
    {
        var target = new Argument<string>("target") { Description = "inert, emulating, or another disk's name, such as sdb" };
        var command = new Command("reverse-shunt", "say where the enlightened stack's shunt diverts its requests to") { target };
        command.SetAction(r => runner.Run("reverse-shunt", session =>
        {
            var stacks = session.Stacks;
            stacks.SetReverseShunt(r.GetValue(target)!);
            return new JsonObject { ["reverseShunt"] = stacks.ReverseShunt, ["reverseShunted"] = stacks.ReverseShunted };
        }));
        return command;
    }
}
