using System.CommandLine;
using System.Text.Json.Nodes;

namespace VmShunt.Guest.Commands.Disk;

/// <summary><c>read</c>: copies sectors of the disk to a file on the host.</summary>
internal static class ReadCommand
{
    internal static Command Build(ICommandRunner runner)
    {
        var stack = StackOption.Create();
        var sector = new Option<ulong>("--sector") { Description = "the first sector of 512 bytes" };
        var count = new Option<ulong>("--count") { Required = true, Description = "the number of sectors" };
        var output = new Option<string>("--output") { Required = true, HelpName = "FILE", Description = "the target file" };
        var command = new Command("read", "copy sectors of the disk to a file on the host") { stack, sector, count, output };
        command.SetAction(r => runner.Run("read", session =>
        {
            var disk = session.Disk(r.GetValue(stack));
            using var file = HostFile.Create(r.GetValue(output)!);
            var bytes = DiskTransfer.Read(disk, session.Kernel.Pages, r.GetValue(sector), r.GetValue(count), file);
            return new JsonObject { ["bytes"] = bytes };
        }));
        return command;
    }
}
