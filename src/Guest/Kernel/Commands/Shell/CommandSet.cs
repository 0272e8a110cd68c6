using System.CommandLine;
using VmShunt.Guest.Commands.Crash;
using VmShunt.Guest.Commands.Disk;
using VmShunt.Guest.Commands.Measure;
using VmShunt.Guest.Commands.Shunt;
using VmShunt.Guest.Commands.Stacks;

namespace VmShunt.Guest.Commands.Shell;

/// <summary>The commands of both the shell and the console.</summary>
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
}
