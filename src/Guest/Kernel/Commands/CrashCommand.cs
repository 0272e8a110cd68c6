using System.CommandLine;
using System.Text.Json.Nodes;
using VmShunt.Guest.Workloads;

namespace VmShunt.Guest.Commands;

/// <summary><c>crash</c>: brings the machine down on purpose, with requests in flight, and dumps it.</summary>
internal static class CrashCommand
{
    private const ulong OnPurpose = 1;

    internal static Command Build(ICommandRunner runner)
    {
        var inFlight = new Option<int>("--in-flight") { DefaultValueFactory = _ => 32, Description = "have at least this many requests in flight, 0 to 512" };
        var scribble = new Option<bool>("--scribble") { Description = "overwrite the rings with garbage, as a crash might" };
        inFlight.Validators.Add(r =>
        {
            if (r.GetValue(inFlight) is < 0 or > 512) r.AddError("--in-flight takes 0 to 512");
        });
        var command = new Command("crash", "crash on purpose and write a dump through the trap") { inFlight, scribble };
        command.SetAction(r => runner.Run("crash", session => Crash(session, r.GetValue(inFlight), r.GetValue(scribble))));
        return command;
    }

    private static JsonObject Crash(Session session, int wanted, bool scribble)
    {
        var kernel = session.Kernel;
        if (kernel.IsEmulatingRemoved) return CrashWithoutDump(session);
        var path = kernel.CrashPath ?? throw new InvalidOperationException("no dump could be written: the disk has no dump partition (or there is no emulated disk)");
        var load = session.Load;
        if (load is null && wanted > 0)
        {
            var disk = session.Disk("emulating");
            load = VerifiedLoad.Start(disk, kernel.Pages, 2 * wanted, write: false, 0, disk.Geometry.SectorCount);
            // The load is under way once completions are coming in.
            var start = disk.Counters.Completed;
            SpinWait.SpinUntil(() => disk.Counters.Completed > start + wanted);
        }
        SpinWait.SpinUntil(() => kernel.InFlight >= wanted, TimeSpan.FromSeconds(10));

        // From here on the machine is dead: the load never ends, and nobody waits for it.
        session.HasEnded = true;
        session.Load = null;
        var inFlight = 0;
        const string Reason = "crash on purpose";
        var rings = kernel.Channel?.RingMemory ?? [];
        Func<int> countInFlight = () => inFlight = kernel.InFlight;
        Action scribbleRings = () =>
        {
            for (var i = 0; scribble && i < rings.Count; i++) Random.Shared.NextBytes(rings[i].Span);
        };
        var ringThreads = kernel.Channel?.Counters.Count() ?? 0;
        var allocated = GC.GetAllocatedBytesForCurrentThread();
        var bytes = path.Run(kernel.Crash, Reason, OnPurpose, countInFlight, ringThreads, scribbleRings);
        allocated = GC.GetAllocatedBytesForCurrentThread() - allocated;
        return new JsonObject
        {
            ["reason"] = Reason,
            ["inFlight"] = inFlight,
            ["dump"] = new JsonObject { ["bytes"] = bytes, ["road"] = "trap", ["allocatedBytes"] = allocated },
        };
    }

    private static JsonObject CrashWithoutDump(Session session)
    {
        var kernel = session.Kernel;
        session.HasEnded = true;
        session.Load = null;
        session.ExitCode = 1;
        var inFlight = kernel.CrashWithoutDump(OnPurpose);
        var lost = $"crash on purpose: no dump could be written, because the emulating stack was removed and a dump takes no other road; "
            + $"{kernel.Ram.RamBytes} bytes of memory and {inFlight} requests in flight are lost";
        Console.Error.WriteLine($"vmshunt-guest: {lost}");
        return new JsonObject { ["reason"] = "crash on purpose", ["inFlight"] = inFlight, ["dump"] = null, ["lost"] = lost };
    }
}
