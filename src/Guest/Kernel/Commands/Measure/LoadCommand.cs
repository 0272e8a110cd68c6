using System.CommandLine;
using System.Text.Json.Nodes;
using VmShunt.Guest.Workloads;

namespace VmShunt.Guest.Commands.Measure;

/// <summary><c>load start</c> and <c>load stop</c>: a verified load that runs while other commands do.</summary>
internal static class LoadCommand
{
    internal static Command Build(ICommandRunner runner)
    {
        var stack = StackOption.Create();
        var depth = new Option<int>("--depth") { DefaultValueFactory = _ => 64, Description = "requests in flight, 1 to 1024" };
        var write = new Option<bool>("--write") { Description = "make half of the requests writes" };
        var polled = new Option<bool>("--polled") { Description = "use polled calls, with a thread per request in flight" };
        var cancel = new Option<bool>("--cancel") { Description = "cancel requests at random" };
        var first = new Option<ulong>("--first-sector") { Description = "the first sector of the range" };
        var sectors = new Option<ulong?>("--sectors") { Description = "the sectors of the range; by default to the end of the disk" };
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

        var stop = new Command("stop", "stop the load, read every block again, and show the result");
        stop.SetAction(_ => runner.Run("load", Stop));
        return new Command("load", "run a load that verifies every block, while other commands run") { start, stop };
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
