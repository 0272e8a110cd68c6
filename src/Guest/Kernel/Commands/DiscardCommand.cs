using System.CommandLine;
using System.Text.Json.Nodes;
using VmShunt.Guest.Block;

namespace VmShunt.Guest.Commands;

/// <summary><c>discard</c>: gives a range back to the device.</summary>
internal static class DiscardCommand
{
    // The largest piece that both roads take in one request.
    private const ulong PieceSectors = (1UL << 30) / DiskClassDriver.SectorBytes;

    internal static Command Build(ICommandRunner runner)
    {
        var stack = CommandSet.StackOption();
        var sector = new Option<ulong>("--sector") { Required = true, Description = "the first sector of 512 bytes" };
        var count = new Option<ulong>("--count") { Required = true, Description = "how many sectors" };
        var command = new Command("discard", "give a range back to the device; what it reads as then is the device's choice") { stack, sector, count };
        command.SetAction(r => runner.Run("discard", session =>
        {
            var disk = session.Disk(r.GetValue(stack));
            var (at, left) = (r.GetValue(sector), r.GetValue(count));
            for (; left > 0;)
            {
                var here = Math.Min(left, PieceSectors);
                disk.DiscardAsync(at, (int)(here * DiskClassDriver.SectorBytes)).AsTask().GetAwaiter().GetResult();
                at += here;
                left -= here;
            }
            return new JsonObject { ["sectors"] = r.GetValue(count) };
        }));
        return command;
    }
}
