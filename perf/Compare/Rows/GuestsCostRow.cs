using VmShunt.Perf.Compare.Contestants;
using VmShunt.Perf.Compare.Model;
using VmShunt.Perf.Compare.Sitting;
using VmShunt.Perf.Measure;

namespace VmShunt.Perf.Compare.Rows;

/// <summary>CPU time a request, guests and VM-H together, as more guests use one VM-H; each guest is a process.</summary>
internal sealed class GuestsCostRow() : Row("cost-guests", "CPU a request as guests grow, memory disk, depth 4 each")
{
    internal override async Task<RowResult> RunAsync(CompareSession session)
    {
        await using var rig = new Rig(session);
        int[] counts = session.Options.Quick ? [1, 4] : [1, 8, 64];
        // The first, that polls, only fills the disk, and is stopped from then on.
        var filler = await rig.HostAsync(rig.MemoryDisk, "VM-H");
        var guests = await rig.CrowdAsync(filler.BackEnd, counts[^1]);
        CrowdContestant[] contestants = [.. counts.Select(count => new CrowdContestant(session, [.. guests.Take(count)], new Workload("randread", 4096, 4)))];
        // What runs once a command has to be compiled for good too: with so many guests on so few cores the JIT would take a part of each
        // turn. It does so after 30 calls, and again after 30 more.
        for (var i = 0; i < session.Options.CrowdWarmUps; i++) await contestants[^1].LeadInAsync(session.Options.Turn);
        var rounds = await Rounds.RunAsync(session, contestants, rounds: session.Options.Quick ? 1 : 3, warmUp: session.Options.ShortWarmUp, turn: session.Options.CrowdTurn);
        return Result(rounds, Judge(
            "64", $"{Title}: {counts[^1]} by 1", Target.AtMost(1.05), rounds.Of(contestants[^1]), rounds.Of(contestants[0]), static sample => sample.Cpu, "",
            new Allowance(nameof(Inputs.Guests), "the number of guests is what grows")));
    }
}
