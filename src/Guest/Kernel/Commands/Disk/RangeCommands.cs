using System.CommandLine;
using System.Text.Json.Nodes;
using VmShunt.Guest.Requests;

namespace VmShunt.Guest.Commands.Disk;

/// <summary><c>discard</c> deallocates a range; <c>zero</c> makes it read as zeros.</summary>
internal static class RangeCommands
{
    internal static Command BuildDiscard(ICommandRunner runner) => Build(
        runner, "discard", "deallocate a range; what it reads as afterwards is the device's choice", 1 << 30, static (disk, at, bytes) => disk.DiscardAsync(at, bytes));

    internal static Command BuildZero(ICommandRunner runner) => Build(
        runner, "zero", "make a range read as zeros; it stays allocated", DiskClassDriver.MaxWriteZeroesBytes, static (disk, at, bytes) => disk.WriteZeroesAsync(at, bytes));

    private static Command Build(ICommandRunner runner, string name, string description, int pieceBytes, Func<DiskClassDriver, ulong, int, ValueTask> act)
    {
        var stack = StackOption.Create();
        var sector = new Option<ulong>("--sector") { Required = true, Description = "the first sector of 512 bytes" };
        var count = new Option<ulong>("--count") { Required = true, Description = "the number of sectors" };
        var command = new Command(name, description) { stack, sector, count };
        command.SetAction(r => runner.Run(name, session =>
        {
            var disk = session.Disk(r.GetValue(stack));
            var (at, left) = (r.GetValue(sector), r.GetValue(count));
            for (; left > 0;)
            {
                var here = Math.Min(left, (ulong)(pieceBytes / DiskClassDriver.SectorBytes));
                act(disk, at, (int)(here * DiskClassDriver.SectorBytes)).AsTask().GetAwaiter().GetResult();
                at += here;
                left -= here;
            }
            return new JsonObject { ["sectors"] = r.GetValue(count) };
        }));
        return command;
    }
}
