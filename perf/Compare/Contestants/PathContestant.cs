using VmShunt.Perf.Compare.Model;
using VmShunt.Perf.Compare.Sitting;
using VmShunt.Perf.Measure;

namespace VmShunt.Perf.Compare.Contestants;

/// <summary>A workload on one of the roads of a machine of three processes, in the road's mode: a turn that follows one of another mode begins with the change.</summary>
internal sealed class PathContestant(string path, Machine machine, Workload workload, Inputs inputs) : Contestant(path, inputs)
{
    /// <summary>One workload on one road.</summary>
    /// <param name="session">The sitting.</param>
    /// <param name="path">The road.</param>
    /// <param name="machine">Not owned.</param>
    /// <param name="workload">What to do.</param>
    /// <param name="turn">How long a turn takes; by default what the sitting says.</param>
    internal static PathContestant Of(CompareSession session, string path, Machine machine, Workload workload, TimeSpan? turn = null) => new(
        path, machine, workload, RingContestant.Given(session, new Disk(Disk.PageCache, "noise", new FileInfo(session.BootDisk).Length), workload, machine.Data) with
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
