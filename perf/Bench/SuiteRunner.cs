using BenchmarkDotNet.Loggers;
using BenchmarkDotNet.Reports;
using BenchmarkDotNet.Running;

namespace VmShunt.Perf.Bench;

/// <summary>The options of <c>bench</c>.</summary>
/// <param name="Filter">The filter for <see cref="Suites.Find"/>; null for all.</param>
/// <param name="List">List the benchmarks and run none.</param>
/// <param name="Full">Use the default job of BenchmarkDotNet instead of the quick one.</param>
/// <param name="Options">Further BenchmarkDotNet options, such as <c>--job short</c>.</param>
internal sealed record BenchOptions(string? Filter, bool List, bool Full, IReadOnlyList<string> Options);

/// <summary>Runs suites in this process.</summary>
/// <remarks>
/// BenchmarkDotNet's default toolchain generates, restores and builds a project for each run: it needs the package feed,
/// cannot see internal types, and takes half a minute per suite.
/// </remarks>
internal sealed class SuiteRunner(TextWriter output, TextWriter errors, ILogger log)
{
    /// <returns>The exit code: 0 when every selected benchmark has a result.</returns>
    internal int Run(BenchOptions options)
    {
        var found = Suites.Find(options.Filter);
        if (found.Count == 0)
        {
            errors.WriteLine($"No benchmark matches '{options.Filter}'. Available:");
            List(Suites.Find(null), errors);
            return 1;
        }
        if (options.List)
        {
            List(found, output);
            return 0;
        }
        found = [.. found.Where(one => CanRun(one.Suite, one.Benchmark))];
        if (found.Count == 0) return 0;

        var config = BenchConfig.Create(log, options.Full || Names(options, "-j", "--job") ? null : BenchConfig.Quick);
        string[] filter = Names(options, "-f", "--filter") ? [] : ["--filter", .. found.Select(static one => $"*.{one.Suite.Name}.{one.Benchmark}")];
        string[] arguments = ["--inProcess", .. filter, .. options.Options];
        Summary[] summaries = [.. new BenchmarkSwitcher([.. found.Select(static one => one.Suite).Distinct()]).Run(arguments, config)];
        return summaries.Length > 0 && summaries.All(IsComplete) ? 0 : 1;
    }

    private bool CanRun(Type suite, string benchmark)
    {
        if (suite != typeof(TrapPrice) || TrapPrice.FindProblem(benchmark) is not { } problem) return true;
        output.WriteLine($"{suite.Name}.{benchmark} is left out: {problem}");
        return false;
    }

    private static bool Names(BenchOptions options, string shortName, string longName) =>
        options.Options.Any(word => word == shortName || word == longName || word.StartsWith(longName + "=", StringComparison.Ordinal));

    private static bool IsComplete(Summary summary) =>
        !summary.HasCriticalValidationErrors && summary.Reports.Length > 0 && summary.Reports.All(static report => report.Success);

    private static void List(IReadOnlyList<(Type Suite, string Benchmark)> found, TextWriter target)
    {
        foreach (var suite in found.GroupBy(static one => one.Suite.Name))
            target.WriteLine($"  {suite.Key}: {string.Join(", ", suite.Select(static one => one.Benchmark))}");
    }
}
