using System.Diagnostics;
using System.Globalization;
using VmShunt.Perf.Compare.Contestants;
using VmShunt.Perf.Compare.Model;
using VmShunt.Perf.Compare.Session;
using VmShunt.Perf.Measure;

namespace VmShunt.Perf.Compare.Rows;

/// <summary>The native VM-H vs the JIT's: from its start until it listens, and the memory that is resident then.</summary>
internal sealed class NativeStartRow() : Row("native-start", "start of the native VM-H")
{
    internal override async Task<RowResult> RunAsync(CompareSession session)
    {
        if (session.Options.NativeHost is not { } program)
            return new RowResult(Id, Title, [], [], [new Verdict($"{Id}.seconds", Title, "VM-H", null, null, [NativeRow.Missing])]) { ForeignCpu = ForeignCpu.Of([]) };
        List<double> seconds = [], memory = [], foreign = [];
        for (var round = 0; round < (session.Options.Quick ? 1 : 5); round++)
        {
            var watch = new ForeignCpu();
            var (nativeSeconds, nativeKilobytes) = await StartAsync(session, program);
            var (jitSeconds, jitKilobytes) = await StartAsync(session, session.Own("vmshunt-host"));
            seconds.Add(nativeSeconds / jitSeconds);
            memory.Add(nativeKilobytes / jitKilobytes);
            foreign.Add(watch.Share());
            session.Log.Line(string.Create(
                CultureInfo.InvariantCulture, $"native {nativeSeconds:0.000} s, {nativeKilobytes / 1024:0.0} MiB; JIT {jitSeconds:0.000} s, {jitKilobytes / 1024:0.0} MiB"));
        }
        return new RowResult(
            Id, Title, [], [],
            [
                new Verdict($"{Id}.seconds", $"{Title} until it listens", "VM-H", Target.AtMost(0.5), Spread.Of(seconds), []),
                new Verdict($"{Id}.memory", $"{Title}: resident memory", "VM-H", Target.AtMost(0.5), Spread.Of(memory), []),
            ])
        {
            ForeignCpu = ForeignCpu.Of(foreign),
        };
    }

    private static async Task<(double Seconds, double Kilobytes)> StartAsync(CompareSession session, string program)
    {
        var start = Stopwatch.GetTimestamp();
        await using var host = await BackEnd.HostAsync(session, "VM-H", new BackEndDisk(BackEndDisk.Null, "nothing", session.Options.DiskBytes), program, $"null:{session.Options.DiskBytes}");
        var seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        var line = File.ReadLines($"/proc/{host.ProcessId}/status").First(static line => line.StartsWith("VmRSS:", StringComparison.Ordinal));
        return (seconds, double.Parse(line["VmRSS:".Length..].Replace("kB", "", StringComparison.Ordinal), CultureInfo.InvariantCulture));
    }
}
