using System.CommandLine;
using System.Text.Json.Nodes;
using VmShunt.BlockDriver.Memory;
using VmShunt.Guest.Workloads;

namespace VmShunt.Guest.Commands.Crash;

/// <summary><c>crash</c>: crashes the machine on purpose, with requests in flight, and writes a dump.</summary>
internal static class CrashCommand
{
    private const ulong OnPurpose = 1;
    private const string Reason = "crash on purpose";

    internal static Command Build(ICommandRunner runner)
    {
        var inFlight = new Option<int>("--in-flight") { DefaultValueFactory = _ => 32, Description = "the minimum number of requests in flight, 0 to 512" };
        var scribble = new Option<bool>("--scribble") { Description = "overwrite the rings with random bytes" };
        var exhaust = new Option<string>("--exhaust") { DefaultValueFactory = _ => "nothing", Description = "allocate all memory first: nothing, pages (guest memory), or heap (the managed heap, up to DOTNET_GCHeapHardLimit)" };
        var changing = new Option<bool>("--while-changing-mode") { Description = "crash during a mode change" };
        var overwrite = new Option<bool>("--overwrite") { Description = "overwrite the dump of an earlier crash that was not exported yet" };
        var again = new Option<bool>("--again") { Description = "crash other processors while the dump is written" };
        exhaust.AcceptOnlyFromAmong("nothing", "pages", "heap");
        inFlight.Validators.Add(r =>
        {
            if (r.GetValue(inFlight) is < 0 or > 512) r.AddError("--in-flight takes 0 to 512");
        });
        var command = new Command("crash", "crash on purpose and write a dump over the trap path") { inFlight, scribble, exhaust, changing, again, overwrite };
        command.SetAction(r => runner.Run("crash", session => Crash(
            session, new Plan(r.GetValue(inFlight), r.GetValue(scribble), r.GetValue(exhaust)!, r.GetValue(changing), r.GetValue(again), r.GetValue(overwrite), runner.AnswersAsJson))));
        return command;
    }

    private sealed record Plan(int InFlight, bool Scribble, string Exhaust, bool WhileChangingMode, bool Again, bool Overwrite, bool AsJson);

    // The crash path writes the answer and ends the process; the rest of the kernel has stopped.
    private static JsonObject Crash(CommandSession session, Plan plan)
    {
        var kernel = session.Kernel;
        if (kernel.CrashPath is null) throw new InvalidOperationException("no dump can be written: there is no emulated disk");
        if (!kernel.IsEmulatingRemoved && kernel.CrashPath.Obstacle is { } obstacle) throw new InvalidOperationException($"no dump can be written: {obstacle}");
        if (plan.Overwrite) kernel.CrashPath.AllowOverwriting();
        var load = session.Load;
        if (load is null && plan.InFlight > 0)
        {
            var disk = session.Disk(kernel.IsEmulatingRemoved ? "enlightened" : "emulating");
            load = VerifiedLoad.Start(disk, kernel.Pages, 2 * plan.InFlight, write: false, 0, disk.Geometry.SectorCount, kernel.Applications);
            // Waits until the load has its requests in flight.
            var start = disk.Counters.Completed;
            SpinWait.SpinUntil(() => disk.Counters.Completed > start + plan.InFlight);
        }
        if (plan.WhileChangingMode) CrashDamage.ChangeModesForEver(kernel);
        if (plan.Again) CrashDamage.CrashAgain(kernel);
        if (plan.Exhaust == "pages") CrashDamage.ExhaustPages(kernel.Pages);
        GuestBuffer[] rings = [.. kernel.Channel?.RingMemory ?? []];
        var held = new object?[plan.Exhaust == "heap" ? 1 << 20 : 0];
        Action? damage = null;
        if (plan.Scribble) damage += () => Scribble(rings);
        if (plan.Exhaust == "heap") damage += () => CrashDamage.ExhaustHeap(held);
        var inFlight = 0;
        SpinWait.SpinUntil(() => (inFlight = kernel.InFlight) >= plan.InFlight, TimeSpan.FromSeconds(10));
        // Does not return: the load is never stopped.
        kernel.CrashOnPurpose(Reason, OnPurpose, inFlight, plan.AsJson, damage);
        GC.KeepAlive(held);
        return [];
    }

    private static void Scribble(GuestBuffer[] rings)
    {
        foreach (var ring in rings) Random.Shared.NextBytes(ring.Span);
    }
}
