using System.CommandLine;
using System.Text.Json.Nodes;
using VmShunt.Guest.Commands.Shunt;
using VmShunt.Guest.Crash;
using VmShunt.Guest.Requests;

namespace VmShunt.Guest.Commands.Disk;

/// <summary><c>info</c>: shows the state of the guest.</summary>
internal static class InfoCommand
{
    internal static Command Build(ICommandRunner runner)
    {
        var command = new Command("info", "show the mode, the disk and its partitions, the bus, counters, and a dump that is not saved yet");
        command.SetAction(_ => runner.Run("info", Answer));
        return command;
    }

    private static JsonObject Answer(CommandSession session)
    {
        var kernel = session.Kernel;
        var geometry = session.Disk(null).Geometry;
        var partitions = kernel.Partitions.Select(p => (JsonNode)new JsonObject
        {
            ["name"] = p.Name,
            ["type"] = p.Type.ToString(),
            ["firstSector"] = p.FirstSector,
            ["sectors"] = p.SectorCount,
        });
        return new JsonObject
        {
            ["mode"] = CommandSession.NameOf(kernel.Mode),
            ["boot"] = kernel.Source.ToString().ToLowerInvariant(),
            ["memoryBytes"] = kernel.RamBytes,
            ["disk"] = new JsonObject
            {
                ["sectors"] = geometry.SectorCount,
                ["bytes"] = geometry.SectorCount * DiskClassDriver.SectorBytes,
                ["serial"] = kernel.EmulatingDisk?.Geometry.Serial ?? geometry.Serial,
                ["readOnly"] = geometry.IsReadOnly || kernel.EnlightenedDisk?.Geometry.IsReadOnly == true,
            },
            ["partitions"] = new JsonArray([.. partitions]),
            ["bus"] = kernel.Channel is not null || kernel.IsBusOffered(),
            ["busFeatures"] = kernel.Channel?.Features.ToString(),
            ["pollQueues"] = kernel.Channel?.PollQueues ?? 0,
            ["shunt"] = ShuntCommand.Describe(kernel),
            ["requests"] = new JsonObject
            {
                ["trap"] = (session.Stack?.Disk.Counters.Trapped ?? 0) + (kernel.EmulatingDisk?.Counters.Trapped ?? 0) + (kernel.EnlightenedDisk?.Counters.Trapped ?? 0),
                ["ring"] = (session.Stack?.Disk.Counters.Ringed ?? 0) + (kernel.EmulatingDisk?.Counters.Ringed ?? 0) + (kernel.EnlightenedDisk?.Counters.Ringed ?? 0),
                ["ringByQueue"] = new JsonArray([.. (kernel.Channel?.Counters ?? []).Select(static queue => (JsonNode)queue.Requests)]),
                ["shunted"] = kernel.Shunt?.Counters.Diverted ?? 0,
                ["inFlight"] = kernel.InFlight,
                ["reconnects"] = kernel.Reconnects,
            },
            ["stacks"] = StacksOf(kernel),
            ["dump"] = DumpOf(kernel),
        };
    }

    private static JsonObject? StacksOf(Kernel kernel) => kernel.Stacks is not { } stacks ? null : new JsonObject
    {
        ["emulatingRemoved"] = kernel.IsEmulatingRemoved,
        ["reverseShunt"] = stacks.ReverseShunt,
        ["reverseShunted"] = stacks.ReverseShunted,
        ["suppressedQueries"] = kernel.Devices!.SuppressedQueries,
    };

    private static JsonObject? DumpOf(Kernel kernel)
    {
        if (kernel.DumpPartition is not { } partition || kernel.EmulatingDisk is not { } disk) return null;
        return new DumpReader(disk, partition, kernel.Pages).Find() is { State: DumpState.New } header
            ? new JsonObject { ["bytes"] = header.CoreBytes, ["reason"] = header.Reason }
            : null;
    }
}
