using System.Text.Json;
using VmShunt.EndToEnd.Processes;
using VmShunt.Perf.Launch;

namespace VmShunt.EndToEnd.Boot;

/// <summary>BenchmarkDotNet on a guest of three processes. The short form leaves the shunted path out.</summary>
public sealed class GuestBenchTests : IDisposable
{
    // Four letters: Trap and Ring, each at two queue depths.
    private static readonly string s_filter = LongForm.IsSelected ? "RingAgainstTrap" : "RingAgainstTrap.????";

    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private string Temporary => Directory.CreateDirectory(_folder["tmp"]).FullName;

    private string[] Bench(string reports) =>
        [$"TMPDIR={Temporary}", Path.Combine(AppContext.BaseDirectory, "vmshunt-perf"), "bench", s_filter, "--job", "dry", "--artifacts", reports];

    [Fact]
    public async Task The_paths_are_benchmarked_in_a_real_guest_and_no_file_is_left()
    {
        var reports = _folder["reports"];
        var ended = await Programs.RunAsync("/usr/bin/env", Bench(reports));

        Assert.True(ended.ExitCode == 0, string.Join('\n', ended.Output) + ended.ErrorText);
        using var report = JsonDocument.Parse(File.ReadAllText(Directory.EnumerateFiles(reports, "*-full.json", SearchOption.AllDirectories).Single()));
        JsonElement[] benchmarks = [.. report.RootElement.GetProperty("Benchmarks").EnumerateArray()];
        Assert.Equal(LongForm.Choose(4, 6), benchmarks.Length);
        foreach (var benchmark in benchmarks)
        {
            var counters = benchmark.GetProperty("Metrics").EnumerateArray()
                .ToDictionary(static metric => metric.GetProperty("Descriptor").GetProperty("Id").GetString()!, static metric => metric.GetProperty("Value").GetDouble());
            Assert.Equal(["Calls", "Guest B", "Kicks", "Traps"], counters.Keys.Order(StringComparer.Ordinal));
            if (benchmark.GetProperty("Method").GetString() == "Trap") Assert.True(counters["Traps"] > 0);
            else Assert.Equal(0, counters["Traps"]);
        }
        Assert.Empty(Directory.EnumerateFileSystemEntries(Temporary, "vmshunt-*"));
    }

    [Fact]
    public async Task An_interrupted_benchmark_leaves_no_process_and_no_file()
    {
        await using var bench = Programs.Start("/usr/bin/env", Bench(_folder["reports"]));
        await Until.TrueAsync(() => ProcessTable.FindChild(bench.Id, "vmshunt-guest") is not null, "the guest runs");
        ProcessTable.Send(bench.Id, Signal.Interrupt);

        Assert.Equal(128 + Signal.Interrupt, (await Programs.WaitForEndAsync(bench)).ExitCode);
        Assert.Empty(Directory.EnumerateFileSystemEntries(Temporary, "vmshunt-*"));
        await Until.TrueAsync(() => ProcessTable.WithCommandLine(Temporary).Count == 0, "the three processes have exited");
    }
}
