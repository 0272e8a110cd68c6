using System.CommandLine;
using System.Text.Json.Nodes;
using VmShunt.Guest.Crash;

namespace VmShunt.Guest.Commands.Crash;

/// <summary><c>dump info</c> and <c>dump export</c>: the dump of an earlier crash on the dump partition.</summary>
internal static class DumpCommand
{
    internal static Command Build(ICommandRunner runner)
    {
        var info = new Command("info", "show whether the dump partition has a dump");
        info.SetAction(_ => runner.Run("dump", session =>
        {
            var header = Reader(session).Find();
            return new JsonObject
            {
                ["found"] = header is not null,
                ["saved"] = header?.State == DumpState.Saved,
                ["bytes"] = header?.CoreBytes,
                ["inFlight"] = header?.InFlight,
                ["reason"] = header?.Reason,
            };
        }));

        var file = new Argument<string>("FILE") { Description = "the target file on the host" };
        var export = new Command("export", "verify the dump, export it as an ELF core, and mark it as saved") { file };
        export.SetAction(r => runner.Run("dump", session => Export(session, r.GetValue(file)!)));
        return new Command("dump", "show and export a crash dump") { info, export };
    }

    private static JsonObject Export(CommandSession session, string file)
    {
        var reader = Reader(session);
        var header = reader.Find() ?? throw new InvalidOperationException("there is no dump on the dump partition");
        using var target = HostFile.Create(file);
        var export = reader.SaveAsync(header, target).GetAwaiter().GetResult();
        return new JsonObject
        {
            ["bytes"] = export.Bytes,
            ["sha256"] = export.Sha256,
            ["memorySha256"] = export.MemorySha256,
            ["valid"] = export.Valid,
            ["reason"] = header.Reason,
        };
    }

    private static DumpReader Reader(CommandSession session)
    {
        var partition = session.Kernel.DumpPartition ?? throw new InvalidOperationException("the disk has no dump partition");
        return new DumpReader(session.Disk("emulating"), partition, session.Kernel.Pages);
    }
}
