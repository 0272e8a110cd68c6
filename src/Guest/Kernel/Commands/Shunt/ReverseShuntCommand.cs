using System.CommandLine;
using System.Text.Json.Nodes;

namespace VmShunt.Guest.Commands.Shunt;

/// <summary><c>reverse-shunt</c>: sets the target of the enlightened stack's shunt at run time.</summary>
internal static class ReverseShuntCommand
{
    internal static Command Build(ICommandRunner runner)
    {
        var target = new Argument<string>("target") { Description = "inert, emulating, or the name of another disk, such as sdb" };
        var command = new Command("reverse-shunt", "set the target of the enlightened stack's shunt") { target };
        command.SetAction(r => runner.Run("reverse-shunt", session =>
        {
            var stacks = session.Stacks;
            stacks.SetReverseShunt(r.GetValue(target)!);
            return new JsonObject { ["reverseShunt"] = stacks.ReverseShunt, ["reverseShunted"] = stacks.ReverseShunted };
        }));
        return command;
    }
}
