using System.CommandLine;
using System.Diagnostics;
using System.Text.Json.Nodes;
using VmShunt.Guest.Mode;

namespace VmShunt.Guest.Commands.Shunt;

/// <summary><c>mode</c>: changes the mode at run time.</summary>
internal static class ModeCommand
{
    internal static Command Build(ICommandRunner runner)
    {
        var to = new Argument<string>("mode") { Description = "the new mode: emulating, enlightened or alternate" };
        to.AcceptOnlyFromAmong("emulating", "enlightened", "alternate");
        var command = new Command("mode", "change the mode; requests in flight complete on their current path") { to };
        command.SetAction(r => runner.Run("mode", session =>
        {
            var start = Stopwatch.GetTimestamp();
            session.Load?.WatchPauses();
            var inFlight = session.Kernel.ChangeMode(Enum.Parse<GuestMode>(r.GetValue(to)!, ignoreCase: true));
            session.Load?.NoteSwitch(inFlight);
            return new JsonObject
            {
                ["mode"] = CommandSession.NameOf(session.Kernel.Mode),
                ["switchMicroseconds"] = Stopwatch.GetElapsedTime(start).TotalMicroseconds,
                ["inFlight"] = inFlight,
            };
        }));
        return command;
    }
}
