using System.CommandLine;
using System.Text.Json.Nodes;

namespace VmShunt.Guest.Commands.Disk;

/// <summary><c>fill</c>: writes a pattern computed from the sector number and a seed, or verifies it.</summary>
internal static class FillCommand
{
    internal static Command Build(ICommandRunner runner)
    {
        var stack = StackOption.Create();
        var sector = new Option<ulong>("--sector") { Description = "the first sector of 512 bytes" };
        var count = new Option<ulong?>("--count") { Description = "the number of sectors; by default to the end of the disk" };
        var seed = new Option<long>("--seed") { Description = "the seed of the pattern" };
        var verify = new Option<bool>("--verify") { Description = "read and compare instead of writing" };
        var command = new Command("fill", "write a pattern computed from the sector number and a seed, or verify it") { stack, sector, count, seed, verify };
        command.SetAction(r => runner.Run("fill", session =>
        {
            var disk = session.Disk(r.GetValue(stack));
            var first = r.GetValue(sector);
            var sectors = r.GetValue(count) ?? disk.Geometry.SectorCount - Math.Min(first, disk.Geometry.SectorCount);
            var wrong = DiskTransfer.Pattern(disk, session.Kernel.Pages, first, sectors, r.GetValue(seed), r.GetValue(verify));
            return wrong is null
                ? new JsonObject { ["sectors"] = sectors }
                : throw new InvalidOperationException($"sector {wrong} does not have the pattern of seed {r.GetValue(seed)}");
        }));
        return command;
    }
}
