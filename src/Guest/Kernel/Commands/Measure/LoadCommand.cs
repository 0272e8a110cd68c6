using System.CommandLine;
using System.Text.Json.Nodes;
using VmShunt.Guest.Workloads;

namespace VmShunt.Guest.Commands.Measure;

/// <summary><c>load start</c> and <c>load stop</c>: a verified load on the emulating stack, beside other commands.</summary>
internal static class LoadCommand
{
    internal static Command Build(ICommandRunner runner)
    {
        var stack = StackOption.Create();
        var depth = new Option<int>("--depth") { DefaultValueFactory = _ => 64, Description = "requests in flight, 1 to 1024" };
        var write = new Option<bool>("--write") { Description = "half of the requests write" };
        var polled = new Option<bool>("--polled") { Description = "calls that poll, a thread for each request in flight" };
        var cancel = new Option<bool>("--cancel") { Description = "call requests back at random moments" };
        var first = new Option<ulong>("--first-sector") { Description = "where the range starts" };
        var sectors = new Option<ulong?>("--sectors") { Description = "how long the range is; by default to the end of the disk" };
        depth.Validators.Add(r =>
        {
            if (r.GetValue(depth) is < 1 or > 1024) r.AddError("--depth takes 1 to 1024");
        });

        var start = new Command("start", "start the load") { stack, depth, write, polled, cancel, first, sectors };
        start.SetAction(r => runner.Run("load", session =>
        {
            if (session.Load is not null) throw new InvalidOperationException("a load is running already; stop it first");
            var disk = session.Disk(r.GetValue(stack) ?? (session.Kernel.EmulatingDisk is null ? null : "emulating"));
            var from = r.GetValue(first);
            var length = r.GetValue(sectors) ?? disk.Geometry.SectorCount - Math.Min(from, disk.Geometry.SectorCount);
            session.Load = VerifiedLoad.Start(
                disk, session.Kernel.Pages, r.GetValue(depth), r.GetValue(write), from, length, session.Kernel.Applications,
                session.Kernel.Channel?.QueueCount ?? 1, r.GetValue(polled), r.GetValue(cancel));
            return CommandSession.Done;
        }));

        var stop = new Command("stop", "stop the load, read everything back, and say what it came to");
        stop.SetAction(_ => runner.Run("load", Stop));
        return new Command("load", "run a load that verifies every block, beside other commands") { start, stop };
    }

    private static JsonObject Stop(CommandSession session)
    {
        if (session.Load is not { } load) throw new InvalidOperationException("no load is running");
        session.Load = null;
        using (load)
        {
            var result = load.Stop();
            return new JsonObject
            {
                ["requests"] = result.Requests,
                ["completed"] = result.Completed,
                ["failed"] = result.Failed,
                ["lost"] = result.Lost,
                ["cancelled"] = result.Cancelled,
                ["repeated"] = result.Repeated,
                ["mismatched"] = result.Mismatched,
                ["inFlightAtSwitch"] = result.InFlightAtSwitch,
                ["maxPauseMicroseconds"] = result.MaxPauseMicroseconds,
            };
        }
    }
}
