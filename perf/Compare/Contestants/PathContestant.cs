using VmShunt.Perf.Compare.Model;
using VmShunt.Perf.Compare.Sitting;
using VmShunt.Perf.Measure;

namespace VmShunt.Perf.Compare.Contestants;

/// <summary>A workload on one of the roads of a machine of three processes, in the road's mode: a turn that follows one of another mode begins with the change.</summary>
internal sealed class PathContestant(string path, Machine machine, Workload workload, Inputs inputs) : Contestant(path, inputs)
{
    internal static PathContestant Of(Session session, string path, Machine machine, Workload workload) => new(
        path, machine, workload, RingContestant.Given(session, new Disk(Disk.PageCache, "noise", new FileInfo(session.BootDisk).Length), workload, machine.Data) with
        {
            Generator = "vmshunt-guest, booted, adaptive",
        });

    internal override async Task<Sample> MeasureAsync(TimeSpan duration)
    {
        await machine.SwitchAsync(DiskPath.Mode(Subject));
        long host = ProcessorTime.Of(machine.Host), hypervisor = ProcessorTime.Of(machine.Hypervisor);
        var answer = await machine.BenchAsync(workload.Command(DiskPath.Stack(Subject), duration, machine.Data), duration);
        return RingContestant.SampleOf(answer, ProcessorTime.Of(machine.Host) - host, ProcessorTime.Of(machine.Hypervisor) - hypervisor);
    }
}
