using System.CommandLine;
using System.Text.Json.Nodes;

namespace VmShunt.Guest.Commands.Shunt;

/// <summary><c>suppress on</c> and <c>suppress off</c>: sets at run time whether the shunt hides the emulated disk.</summary>
internal static class SuppressCommand
{
    internal static Command Build(ICommandRunner runner)
    {
        var state = new Argument<string>("state") { Description = "on or off" };
        state.AcceptOnlyFromAmong("on", "off");
        var command = new Command("suppress", "set whether the shunt hides the emulated disk from queries while the enlightened stack exists") { state };
        command.SetAction(r => runner.Run("suppress", session =>
        {
            session.Stacks.Suppress(r.GetValue(state) == "on");
            return new JsonObject { ["suppress"] = r.GetValue(state) };
        }));
        return command;
    }
}
