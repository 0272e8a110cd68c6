using System.CommandLine;
using System.Text.Json.Nodes;
using VmShunt.Guest.Mode;
using VmShunt.Ring.VirtioBlk;

namespace VmShunt.Guest.Commands.Shunt;

/// <summary><c>shunt</c>: shows the shunt, or replaces it at run time.</summary>
internal static class ShuntCommand
{
    internal static Command Build(ICommandRunner runner)
    {
        // In the shell these are options of the program; on the console they are options of this command.
        var arguments = new ShuntArguments(recursive: false);
        var command = new Command("shunt", "show the shunt; with options, replace it at run time");
        var onConsole = runner is not OnceRunner;
        if (onConsole) arguments.AddTo(command);
        command.SetAction(r => runner.Run("shunt", session =>
        {
            if (session.Kernel.Shunt is not { Options: var now }) throw new InvalidOperationException("this guest has no emulating stack, so it has no shunt");
            var wanted = onConsole ? arguments.Read(r, now) : now;
            if (wanted != now) session.Kernel.Configure(wanted);
            return Describe(session.Kernel)!;
        }));
        return command;
    }

    /// <summary>The current shunt, or null without one.</summary>
    internal static JsonObject? Describe(Kernel kernel)
    {
        if (kernel.Shunt is not { } shunt) return null;
        var description = new JsonObject
        {
            ["position"] = ShuntNames.Of(shunt.Options.Position),
            ["source"] = ShuntNames.Of(shunt.Options.Source),
            ["policy"] = ShuntNames.Of(shunt.Criterion),
            ["primary"] = RequestTypeList.Format(shunt.PrimaryNow),
            ["diverted"] = shunt.Counters.Diverted,
            ["passed"] = shunt.Counters.Passed,
        };
        return description;
    }
}
