using VmShunt.Perf.Launch.Model;
using VmShunt.Perf.Measure;

namespace VmShunt.Perf.Launch;

/// <summary>
/// Measures every workload on every path. The paths of a workload are measured in interleaved rounds, so that a slow
/// moment of the machine affects all of them; of several rounds, the one with the median rate is kept.
/// </summary>
internal sealed class PathMeasurement(ThreeProcesses processes, ProgressLog log, DirectPath direct, SectorRange range, LaunchOptions options, CancellationToken cancel)
{
    private readonly TimeSpan _duration = options.MeasureTime, _warmUp = options.MeasureTime / 3;
    private readonly int _rounds = options.Quick ? 1 : 3;
    private readonly List<double> _foreignCpu = [];
    private string? _mode;

    /// <summary>CPU time that other processes used during the measurements, as a share of one core.</summary>
    internal double ForeignCpuShare => ForeignCpu.Of(_foreignCpu);

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
            log.Line($"{workload.Title}, requests per second: " + string.Join(", ", results.Where(result => Workload.Of(result) == workload).Select(static result => $"{result.Path} {result.Iops:N0}")));
        }
        return results;
    }

    private async Task<PathResult> MeasureAsync(string path, Workload workload)
    {
        cancel.ThrowIfCancellationRequested();
        if (path == DiskPath.Direct) return await Task.Run(() => MeasureDirect(workload), cancel);
        await SwitchAsync(DiskPath.Mode(path));
        _ = await AskAsync(workload.Command(DiskPath.Stack(path), _warmUp, range));

        int host = processes.Host!.Id, hypervisor = processes.Hypervisor!.Id;
        var foreign = new ForeignCpu();
        long traps = processes.Traps!.Exits(), hostCpu = ProcessorTime.Of(host), hypervisorCpu = ProcessorTime.Of(hypervisor);
        BenchAnswer answer = await AskAsync(workload.Command(DiskPath.Stack(path), _duration, range));
        hostCpu = ProcessorTime.Of(host) - hostCpu;
        hypervisorCpu = ProcessorTime.Of(hypervisor) - hypervisorCpu;
        traps = processes.Traps.Exits() - traps;
        _foreignCpu.Add(foreign.Share());
        if (answer.Requests == 0) throw new LaunchException($"no request completed on path {path}, {workload.Title}");
        return Result(path, workload, answer, traps, hostCpu, hypervisorCpu);
    }

    private PathResult MeasureDirect(Workload workload)
    {
        _ = direct.Measure(workload, _warmUp);
        var foreign = new ForeignCpu();
        PathResult result = direct.Measure(workload, _duration);
        _foreignCpu.Add(foreign.Share());
        return result;
    }

    private async Task SwitchAsync(string mode)
    {
        if (_mode == mode) return;
        await processes.AskAsync($"mode {mode}", GuestAnswersJson.Default.ModeAnswer);
        _mode = mode;
    }

    private Task<BenchAnswer> AskAsync(string command) =>
        processes.AskAsync(command, GuestAnswersJson.Default.BenchAnswer, _duration);

    private static PathResult Result(string path, Workload workload, BenchAnswer answer, long traps, long hostNanoseconds, long hypervisorNanoseconds)
    {
        double requests = Math.Max(1, answer.Requests);
        return new PathResult(
            path, workload.Operation, workload.BlockSize, workload.QueueDepth, answer.Requests, PathResult.Round(answer.Iops), PathResult.Round(answer.MegabytesPerSecond),
            PathResult.Round(answer.P50Microseconds), PathResult.Round(answer.P99Microseconds), PathResult.Round(answer.P999Microseconds), PathResult.Round(answer.MaxMicroseconds),
            PathResult.Round(traps / requests), PathResult.Round(answer.KicksPerRequest), PathResult.Round(answer.CallsPerRequest), PathResult.Round(answer.CopiesPerRequest),
            PathResult.Round(answer.AllocatedBytesPerRequest), PathResult.Round(answer.GuestCpuMicrosecondsPerRequest),
            PathResult.Round(hostNanoseconds / requests / 1000), PathResult.Round(hypervisorNanoseconds / requests / 1000));
    }
}
