using System.CommandLine;
using System.Diagnostics;
using System.Text.Json.Nodes;
using VmShunt.Guest.Requests;
using VmShunt.Guest.Workloads;

namespace VmShunt.Guest.Commands.Disk;

/// <summary><c>hash</c>: the SHA-256 of the disk, read through a stack.</summary>
internal static class HashCommand
{
    internal static Command Build(ICommandRunner runner)
    {
        var stack = StackOption.Create();
        var bytes = new Option<long?>("--bytes") { Description = "the number of bytes from the start; by default all" };
        var command = new Command("hash", "compute the SHA-256 of the disk, read through a stack") { stack, bytes };
        command.SetAction(r => runner.Run("hash", session =>
        {
            var disk = session.Disk(r.GetValue(stack));
            var all = (long)disk.Geometry.SectorCount * DiskClassDriver.SectorBytes;
            var length = r.GetValue(bytes) ?? all;
            if (length < 0 || length > all) throw new ArgumentException($"--bytes {length}: the disk has {all} bytes");
            var start = Stopwatch.GetTimestamp();
            var hash = DiskHash.Of(disk, session.Kernel.Pages, length);
            return new JsonObject { ["sha256"] = hash, ["bytes"] = length, ["seconds"] = Stopwatch.GetElapsedTime(start).TotalSeconds };
        }));
        return command;
    }
}
