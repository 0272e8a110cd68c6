using System.CommandLine;
using System.Text.Json.Nodes;

namespace VmShunt.Guest.Commands.Disk;

/// <summary><c>write</c>: copies a file on the host to the disk.</summary>
internal static class WriteCommand
{
    internal static Command Build(ICommandRunner runner)
    {
        var stack = StackOption.Create();
        var sector = new Option<ulong>("--sector") { Description = "the first sector of 512 bytes" };
        var input = new Option<string>("--input") { Required = true, HelpName = "FILE", Description = "the source file; a last partial sector is padded with zeros" };
        var command = new Command("write", "copy a file on the host to the disk, and flush") { stack, sector, input };
        command.SetAction(r => runner.Run("write", session =>
        {
            var disk = session.Disk(r.GetValue(stack));
            using var file = HostFile.OpenRead(r.GetValue(input)!);
            var bytes = DiskTransfer.Write(disk, session.Kernel.Pages, r.GetValue(sector), file);
            return new JsonObject { ["bytes"] = bytes };
        }));
        return command;
    }
}
