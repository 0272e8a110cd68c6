using VmShunt.Perf.Compare.Model;
using VmShunt.Perf.Compare.Session;
using VmShunt.Perf.Measure;

namespace VmShunt.Perf.Compare.Contestants;

/// <summary>A workload on one path of a booted machine. Switches the guest to the path's mode first if needed.</summary>
internal sealed class PathContestant(string path, BootedMachine machine, Workload workload, Inputs inputs) : Contestant(path, inputs)
{
    /// <summary>One workload on one path.</summary>
    /// <param name="session">The run.</param>
    /// <param name="path">One of <see cref="DiskPath"/>.</param>
    /// <param name="machine">The machine; not owned.</param>
    /// <param name="workload">The workload.</param>
    /// <param name="turn">The duration of one measurement; null for the default.</param>
    internal static PathContestant Of(CompareSession session, string path, BootedMachine machine, Workload workload, TimeSpan? turn = null) => new(
        path, machine, workload, RingContestant.Given(session, new BackEndDisk(BackEndDisk.PageCache, "noise", new FileInfo(session.BootDisk).Length), workload, machine.Data) with
        {
            Generator = "vmshunt-guest, booted, adaptive",
            Seconds = (turn ?? session.Options.Turn).TotalSeconds,
        });

    internal override async Task<Sample> MeasureAsync(TimeSpan duration)
    {
        await machine.SwitchAsync(DiskPath.Mode(Subject));
        long host = ProcessorTime.Of(machine.Host), hypervisor = ProcessorTime.Of(machine.Hypervisor);
        var answer = await machine.BenchAsync(workload.Command(DiskPath.Stack(Subject), duration, machine.Data), duration);
        return RingContestant.SampleOf(answer, ProcessorTime.Of(machine.Host) - host, ProcessorTime.Of(machine.Hypervisor) - hypervisor);
    }
}
