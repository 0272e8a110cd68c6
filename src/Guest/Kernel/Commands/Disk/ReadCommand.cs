using System.CommandLine;
using System.Text.Json.Nodes;

namespace VmShunt.Guest.Commands.Disk;

/// <summary><c>read</c>: copies sectors of the disk into a file of the host.</summary>
internal static class ReadCommand
{
    internal static Command Build(ICommandRunner runner)
    {
        var stack = StackOption.Create();
        var sector = new Option<ulong>("--sector") { Description = "the first sector of 512 bytes" };
        var count = new Option<ulong>("--count") { Required = true, Description = "how many sectors" };
        var output = new Option<string>("--output") { Required = true, HelpName = "FILE", Description = "where the bytes go" };
        var command = new Command("read", "copy sectors of the disk into a file of the host") { stack, sector, count, output };
        command.SetAction(r => runner.Run("read", session =>
        {
            var disk = session.Disk(r.GetValue(stack));
            using var file = File.Create(r.GetValue(output)!);
            var bytes = DiskTransfer.Read(disk, session.Kernel.Pages, r.GetValue(sector), r.GetValue(count), file);
            return new JsonObject { ["bytes"] = bytes };
        }));
        return command;
    }
}
