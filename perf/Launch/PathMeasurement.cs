using VmShunt.Perf.Measure;
using VmShunt.Perf.Report;

namespace VmShunt.Perf.Launch;

/// <summary>
/// Measures every workload on every path. The paths take turns within a workload, so that a slow moment of the machine
/// meets all of them; with several rounds, the one with the median rate is kept.
/// </summary>
internal sealed class PathMeasurement(ThreeProcesses processes, Narrator narrator, DirectPath direct, SectorRange range, LaunchOptions options, CancellationToken cancel)
{
    private readonly TimeSpan _duration = options.MeasureTime, _warmUp = options.MeasureTime / 3;
    private readonly int _rounds = options.Quick ? 1 : 3;
    private string? _mode;

    internal async Task<IReadOnlyList<PathResult>> RunAsync(IReadOnlyList<Workload> matrix)
    {
        var results = new List<PathResult>();
        foreach (Workload workload in matrix)
        {
            var rounds = new List<PathResult>();
            for (var round = 0; round < _rounds; round++)
                foreach (var path in DiskPath.All) rounds.Add(await MeasureAsync(path, workload));
            foreach (var path in DiskPath.All)
            {
                PathResult[] ofPath = [.. rounds.Where(result => result.Path == path).OrderBy(static result => result.Iops)];
                results.Add(ofPath[ofPath.Length / 2]);
            }
            narrator.Say(workload.Title + ": " + string.Join(", ", results.Where(r => r.IsOf(workload)).Select(static r => $"{r.Path} {r.Iops:N0}/s")));
        }
        return results;
    }

    private async Task<PathResult> MeasureAsync(string path, Workload workload)
    {
        cancel.ThrowIfCancellationRequested();
        if (path == DiskPath.Direct)
        {
            return await Task.Run(
                () =>
                {
                    _ = direct.Measure(workload, _warmUp);
                    return direct.Measure(workload, _duration);
                },
                cancel);
        }
        await SwitchAsync(DiskPath.Mode(path));
        _ = await AskAsync(workload.Command(DiskPath.Stack(path), _warmUp, range));

        int host = processes.Host!.Id, hypervisor = processes.Hypervisor!.Id;
        long traps = processes.Traps!.Exits(), hostCpu = ProcessorTime.Of(host), hypervisorCpu = ProcessorTime.Of(hypervisor);
        BenchAnswer answer = await AskAsync(workload.Command(DiskPath.Stack(path), _duration, range));
        hostCpu = ProcessorTime.Of(host) - hostCpu;
        hypervisorCpu = ProcessorTime.Of(hypervisor) - hypervisorCpu;
        traps = processes.Traps.Exits() - traps;
        if (answer.Requests == 0) throw new LaunchException($"no request came back on path {path}, {workload.Title}");
        return PathResult.Guest(path, workload, answer, traps, hostCpu, hypervisorCpu);
    }

    private async Task SwitchAsync(string mode)
    {
        if (_mode == mode) return;
        await processes.AskAsync($"mode {mode}", GuestAnswersJson.Default.ModeAnswer);
        _mode = mode;
    }

    private Task<BenchAnswer> AskAsync(string command) =>
        processes.AskAsync(command, GuestAnswersJson.Default.BenchAnswer, _duration);
}
