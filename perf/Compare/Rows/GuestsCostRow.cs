using VmShunt.Perf.Compare.Contestants;
using VmShunt.Perf.Compare.Model;
using VmShunt.Perf.Compare.Session;
using VmShunt.Perf.Measure;

namespace VmShunt.Perf.Compare.Rows;

/// <summary>CPU time per request, guests and VM-H together, as more guests use one VM-H. Each guest is a process.</summary>
internal sealed class GuestsCostRow() : Row("cost-guests", "CPU time per request as guests grow, memory disk, depth 4 each")
{
    internal override async Task<RowResult> RunAsync(CompareSession session)
    {
        await using var rig = new Rig(session);
        int[] counts = session.Options.Quick ? [1, 4] : [1, 8, 64];
        // The first guest, which busy-polls, only fills the disk and is stopped afterwards.
        var filler = await rig.HostAsync(rig.MemoryDisk, "VM-H");
        var guests = await rig.ManyGuestsAsync(filler.BackEnd, counts[^1]);
        ManyGuestsContestant[] contestants = [.. counts.Select(count => new ManyGuestsContestant(session, [.. guests.Take(count)], new Workload("randread", 4096, 4)))];
        // Code that runs once per command must be compiled too, or the JIT of so many guests would take part of each measurement.
        // It recompiles after 30 calls, and again after 30 more.
        for (var i = 0; i < session.Options.ManyGuestsWarmUps; i++) await contestants[^1].LeadInAsync(session.Options.Turn);
        var rounds = await Rounds.RunAsync(session, contestants, rounds: session.Options.Quick ? 1 : 3, warmUp: session.Options.ShortWarmUp, turn: session.Options.ManyGuestsTurn);
        return Result(rounds, WithTarget(
            "64", $"{Title}: {counts[^1]} guests vs 1", Target.AtMost(1.05), rounds.Of(contestants[^1]), rounds.Of(contestants[0]), static sample => sample.Cpu, "",
            new Allowance(nameof(Inputs.Guests), "the number of guests is what the row varies")));
    }
}
