using System.Text.Json;
using BenchmarkDotNet.Loggers;
using VmShunt.Perf.Bench;
using VmShunt.Perf.Launch;

namespace VmShunt.Tests.Perf;

public sealed class BenchTests : IDisposable
{
    private static readonly string[] s_suites =
        ["CopyAgainstZeroCopy", "GuestMemoryTranslation", "PathsAndSizes", "RingAgainstTrap", "RingOperations", "RingRoundTrip", "ShuntDeciding", "TrapPrice", "WaitStrategies"];

    private readonly StringWriter _output = new(), _errors = new();
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("vmshunt-test-");

    public void Dispose() => _folder.Delete(recursive: true);

    private int Run(string? filter, bool list = false) =>
        new SuiteRunner(_output, _errors, NullLogger.Instance).Run(new BenchOptions(filter, list, Full: false, Options: []));

    private static string[] Find(string? filter) => [.. Suites.Find(filter).Select(static one => $"{one.Suite.Name}.{one.Benchmark}")];

    [Theory]
    [InlineData("RingRoundTrip", "RingRoundTrip.CacheLinePingPong", "RingRoundTrip.SplitRing", "RingRoundTrip.PackedRing")]
    [InlineData("ringroundtrip", "RingRoundTrip.CacheLinePingPong", "RingRoundTrip.SplitRing", "RingRoundTrip.PackedRing")]
    [InlineData("SplitRing", "RingRoundTrip.SplitRing")]
    [InlineData("AgainstTrap.R", "RingAgainstTrap.Ring")]
    [InlineData("*.Ring", "RingAgainstTrap.Ring")]
    [InlineData("ring*.t?ap", "RingAgainstTrap.Trap")]
    [InlineData("Wait*", "WaitStrategies.AtOnce", "WaitStrategies.AfterPause")]
    public void A_filter_matches_a_part_of_a_name_or_with_a_wildcard_the_whole_name(string filter, params string[] expected) => Assert.Equal(expected, Find(filter));

    [Fact]
    public void No_filter_means_every_suite() => Assert.Equal(s_suites, Suites.Find(null).Select(static one => one.Suite.Name).Distinct());

    [Theory]
    [InlineData("/nonexistent/kvm", "/nonexistent/kvm")]
    [InlineData("/dev/null", "/dev/null is no KVM")]
    [InlineData("/", "/")]
    public void Without_KVM_its_benchmark_is_left_out_with_a_reason_and_the_others_run(string device, string reason)
    {
        Assert.Contains(reason, TrapPrice.FindProblem(nameof(TrapPrice.KvmExit), device), StringComparison.Ordinal);
        Assert.Null(TrapPrice.FindProblem(nameof(TrapPrice.RegisterRead), device));
    }

    [Fact]
    public void A_guest_of_KVM_leaves_at_each_load_from_an_address_without_memory_or_says_why_there_is_none()
    {
        using var guest = KvmGuest.TryCreate(KvmGuest.Device, out var reason);
        Assert.Equal(guest is null, reason.Length > 0);
        // Each checks that the exit is that load.
        for (var i = 0; i < 100; i++) guest?.Exit();
    }

    [Theory]
    [InlineData("Nothing")]
    [InlineData("*.Trap.Nothing")]
    [InlineData("VmShunt.Perf.Bench")]
    public void A_filter_without_a_match_lists_the_available_suites(string filter)
    {
        Assert.Equal(1, Run(filter));
        Assert.Contains($"'{filter}'", _errors.ToString(), StringComparison.Ordinal);
        Assert.All(s_suites, suite => Assert.Contains($"{suite}: ", _errors.ToString(), StringComparison.Ordinal));
    }

    [Fact]
    public void A_list_names_suites_and_benchmarks_and_runs_nothing()
    {
        Assert.Equal(0, Run("RoundTrip", list: true));
        Assert.Equal("  RingRoundTrip: CacheLinePingPong, SplitRing, PackedRing" + Environment.NewLine, _output.ToString());
        Assert.Empty(_errors.ToString());
    }

    // In a separate process, because allocation is counted per process, and without tiered compilation, whose background
    // thread would be counted too (BenchmarkDotNet issue 1542). On a busy machine up to every second measurement counts 3,984
    // bytes that the measuring thread did not allocate. So a measurement has enough operations that one object in each is
    // more than twice an allocation context, which is what the runtime gives a thread at once, and the figure is the lowest
    // of several runs. RingAgainstTrap is an end-to-end test.
    [Theory]
    [InlineData("CopyAgainstZeroCopy", 6, 1024)]
    [InlineData("GuestMemoryTranslation", 5, 1)]
    [InlineData("RingOperations", 12, 1)]
    [InlineData("RingRoundTrip", 6, 1)]
    [InlineData("ShuntDeciding", 9, 1)]
    [InlineData("WaitStrategies", 6, 16)]
    public async Task Every_benchmark_of_a_suite_has_a_result_and_allocates_nothing(string suite, int cases, int invocations)
    {
        const int runs = 5;
        const int allocationContext = 8192;
        const int smallestObject = 24;
        var allocated = new Dictionary<string, long>();
        for (var run = 0; run < runs && (run == 0 || allocated.Values.Any(static bytes => bytes > allocationContext)); run++)
        {
            var folder = Path.Combine(_folder.FullName, $"{run}");
            await using var bench = ChildProcess.Start(
                "vmshunt-perf", "/usr/bin/env",
                ["DOTNET_TieredCompilation=0", Path.Combine(AppContext.BaseDirectory, "vmshunt-perf"), "bench", suite, "--job", "dry", "--invocationCount", $"{invocations}", "--unrollFactor", "1", "--artifacts", folder], keptLines: 200);
            await bench.Ended.WaitAsync(TimeSpan.FromMinutes(2));
            Assert.True(bench.ExitCode == 0, string.Join('\n', bench.LastOutput));
            Assert.NotEmpty(Directory.EnumerateFiles(folder, "*.md", SearchOption.AllDirectories));

            using var report = JsonDocument.Parse(File.ReadAllText(Directory.EnumerateFiles(folder, "*-full.json", SearchOption.AllDirectories).Single()));
            JsonElement[] benchmarks = [.. report.RootElement.GetProperty("Benchmarks").EnumerateArray()];
            Assert.Equal(cases, benchmarks.Length);
            Assert.All(benchmarks, static benchmark => Assert.True(benchmark.GetProperty("Statistics").GetProperty("Mean").GetDouble() > 0));
            foreach (var benchmark in benchmarks)
            {
                var name = benchmark.GetProperty("FullName").GetString()!;
                var memory = benchmark.GetProperty("Memory");
                var operations = memory.GetProperty("TotalOperations").GetInt64();
                Assert.True(operations * smallestObject > 2 * allocationContext, $"{name} has only {operations} operations");
                var bytes = memory.GetProperty("BytesAllocatedPerOperation").GetInt64() * operations;
                allocated[name] = Math.Min(bytes, allocated.GetValueOrDefault(name, long.MaxValue));
            }
        }
        Assert.All(allocated, static benchmark => Assert.InRange(benchmark.Value, 0, allocationContext));
    }
}
