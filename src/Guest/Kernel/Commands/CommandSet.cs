using System.CommandLine;

namespace VmShunt.Guest.Commands;

/// <summary>The commands that both the shell and the console know.</summary>
internal static class CommandSet
{
    internal static IEnumerable<Command> Build(ICommandRunner runner) =>
    [
        InfoCommand.Build(runner),
        ReadCommand.Build(runner),
        WriteCommand.Build(runner),
        FillCommand.Build(runner),
        FlushCommand.Build(runner),
        RangeCommands.BuildDiscard(runner),
        RangeCommands.BuildZero(runner),
        HashCommand.Build(runner),
        ModeCommand.Build(runner),
        ShuntCommand.Build(runner),
        DevicesCommand.Build(runner),
        ProbeCommand.Build(runner),
        StackCommand.Build(runner),
        ReverseShuntCommand.Build(runner),
        SuppressCommand.Build(runner),
        RaceCommand.Build(runner),
        TraceCommand.Build(runner),
        ReplayCommand.Build(runner),
        LoadCommand.Build(runner),
        BenchCommand.Build(runner),
        CrashCommand.Build(runner),
        DumpCommand.Build(runner),
    ];

    /// <summary>Which stack a command goes to; by default the enlightened one where there is one.</summary>
    internal static Option<string?> StackOption()
    {
        var stack = new Option<string?>("--stack") { Description = "emulating, enlightened, or application (the one that 'stack build' has built); by default the best there is" };
        stack.AcceptOnlyFromAmong("emulating", "enlightened", "application");
        return stack;
    }
}
