using System.Globalization;
using System.Text.Json;
using VmShunt.Perf.Compare.Model;
using VmShunt.Perf.Compare.Session;
using VmShunt.Perf.Launch;
using VmShunt.Perf.Measure;

namespace VmShunt.Perf.Compare.Contestants;

/// <summary>fio with io_uring and O_DIRECT on the bare file.</summary>
internal sealed class FioContestant(string program, string file, Workload workload, Inputs inputs) : Contestant("fio io_uring", inputs)
{
    internal static IReadOnlyList<Allowance> Allowed { get; } =
        [new(nameof(Inputs.Generator), "fio makes its requests on the bare file: no guest, no ring")];

    /// <returns>Null if fio is not installed.</returns>
    internal static FioContestant? Find(CompareSession session, BackEndDisk disk, Workload workload) => InstalledPrograms.Find(InstalledPrograms.Fio) is not { } program
        ? null
        : new FioContestant(program, session.DiskFile, workload, RingContestant.Given(session, disk, workload, session.WholeDisk) with { Generator = "fio" });

    // Every measurement starts a new process, so there is nothing to warm up.
    internal override Task LeadInAsync(TimeSpan duration) => Task.CompletedTask;

    internal override async Task<Sample> MeasureAsync(TimeSpan duration)
    {
        await using var fio = ChildProcess.Start("fio", program,
        [
            "--name=compare", $"--filename={file}", $"--rw={workload.Operation}", string.Create(CultureInfo.InvariantCulture, $"--bs={workload.BlockSize}"),
            string.Create(CultureInfo.InvariantCulture, $"--iodepth={workload.QueueDepth}"), "--ioengine=io_uring", "--direct=1", "--thread", "--norandommap",
            "--readonly", "--time_based", string.Create(CultureInfo.InvariantCulture, $"--runtime={(int)duration.TotalMilliseconds}ms"), "--output-format=json",
        ]);
        await fio.Ended;
        var lines = new List<string>();
        while (fio.Output.TryRead(out var line)) lines.Add(line);
        if (fio.ExitCode != 0) throw new LaunchException($"fio exited with code {fio.ExitCode}: {string.Join("; ", fio.LastOutput)}");
        return Parse(string.Join('\n', lines));
    }

    /// <summary>Reads fio's JSON (fio(1), JSON OUTPUT).</summary>
    internal static Sample Parse(string output)
    {
        // fio may print notes before the JSON.
        using var json = JsonDocument.Parse(output[output.IndexOf('{', StringComparison.Ordinal)..]);
        var job = json.RootElement.GetProperty("jobs")[0];
        var read = job.GetProperty("read");
        var latency = read.GetProperty("clat_ns");
        var percentiles = latency.GetProperty("percentile");
        double iops = read.GetProperty("iops").GetDouble(), requests = read.GetProperty("total_ios").GetDouble();
        double cpu = (job.GetProperty("usr_cpu").GetDouble() + job.GetProperty("sys_cpu").GetDouble()) / 100 * read.GetProperty("runtime").GetDouble() * 1000;
        double Microseconds(string share) => percentiles.GetProperty(share).GetDouble() / 1000;
        return new Sample(iops, Microseconds("50.000000"), Microseconds("99.000000"), Microseconds("99.900000"), cpu / requests, 0, 0);
    }
}
