using VmShunt.Perf.Compare.Contestants;
using VmShunt.Perf.Compare.Model;
using VmShunt.Perf.Compare.Session;
using VmShunt.Perf.Measure;

namespace VmShunt.Perf.Compare.Rows;

/// <summary>
/// CPU time per request as the disk grows. The disks are sparse files of which the last 64 MiB are read, so that the page
/// cache costs the same for both.
/// </summary>
internal sealed class SizeCostRow() : Row("cost-size", "CPU time per request as the disk grows, sparse file, depth 32")
{
    private const long Window = 64 << 20;

    internal override async Task<RowResult> RunAsync(CompareSession session)
    {
        await using var rig = new Rig(session);
        RingContestant small = await OfAsync(rig, "1 GiB", 1L << 30), large = await OfAsync(rig, "1 TiB", 1L << 40);
        var rounds = await Rounds.RunAsync(session, [small, large]);
        return Result(rounds, WithTarget(
            "1tib", $"{Title}: 1 TiB vs 1 GiB", Target.AtMost(1.05), rounds.Of(large), rounds.Of(small), static sample => sample.Cpu, "",
            new Allowance(nameof(Inputs.DiskBytes), "the disk size is what the row varies; the last 64 MiB of each disk are read")));
    }

    private static async Task<RingContestant> OfAsync(Rig rig, string size, long bytes)
    {
        var path = rig.CompareSession.File($"{bytes}.img");
        using (var file = File.OpenHandle(path, FileMode.CreateNew, FileAccess.Write)) RandomAccess.SetLength(file, bytes);
        var disk = new BackEndDisk(BackEndDisk.PageCache, "holes", bytes);
        return RingContestant.Of(
            rig.CompareSession, $"VM-H sparse {size}", await rig.HostAsync(disk, "VM-H", path), new Workload("randread", 4096, 32), new SectorRange((bytes - Window) / 512, Window / 512));
    }
}
