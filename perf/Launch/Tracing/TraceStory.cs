using VmShunt.Guest.Firmware.Partitions;
using VmShunt.Perf.Measure;

namespace VmShunt.Perf.Launch.Tracing;

/// <summary>Boots VM-C and lets it trace requests on each path.</summary>
internal sealed class TraceStory(LaunchOptions options, ThreeProcesses processes, ProgressLog log, WorkFolder folder)
{
    internal async Task<TraceResult> RunAsync(string operation, IReadOnlyList<string> paths)
    {
        var date = DateTime.UtcNow;
        log.Section("Disk");
        (var disk, _) = LaunchDisk.Prepare(options, folder, log);
        log.Section("VM-H (the host server) opens the disk, the hypervisor starts, VM-C (the guest) boots");
        await processes.StartAsync(disk, folder);
        var info = await processes.AskAsync("info", GuestAnswersJson.Default.GuestInfo);
        var data = info.Partitions.FirstOrDefault(static partition => partition.Type == PartitionTypes.LinuxData);
        var range = data is null ? new SectorRange(0, info.Disk.Sectors) : new SectorRange(data.FirstSector, data.Sectors);

        var tracer = new RequestTracer(processes, range);
        var traces = new List<PathTrace>();
        foreach (var path in DiskPath.All.Intersect(paths))
        {
            var median = await tracer.MedianAsync(path, operation);
            Print(path, median);
            traces.Add(new PathTrace(
                path, median.Operation, median.Sector, median.Mode, median.Stack, median.Decision, median.Microseconds, median.RegisterAccesses, median.Hops));
        }
        await processes.AskAsync("quit", GuestAnswersJson.Default.PlainAnswer);
        await processes.GuestEndsAsync();
        return new TraceResult(date, GitCommit.Current(), Command(operation, paths), MachineDescription.Read(), traces);
    }

    private void Print(string path, TraceAnswer trace)
    {
        log.Section($"{path}: the request with the median duration of {RequestTracer.Requests}");
        // As the guest drew it: no markup, and no wrapping at the console's width.
        var output = log.Console.Profile.Out.Writer;
        output.WriteLine();
        output.WriteLine(trace.Text);
    }

    private string Command(string operation, IReadOnlyList<string> paths) =>
        string.Join(' ', new[]
        {
            $"{options.Program} trace",
            options.Disk is null ? null : $"--disk {options.Disk}",
            options.AllowWrites ? "--allow-writes" : null,
            $"--operation {operation} --path {string.Join(' ', paths)}",
        }.Where(static part => part is not null));
}
