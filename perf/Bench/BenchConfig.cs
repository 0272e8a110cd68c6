using BenchmarkDotNet.Analysers;
using BenchmarkDotNet.Columns;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Exporters;
using BenchmarkDotNet.Exporters.Json;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Loggers;
using Perfolizer.Horology;
using VmShunt.Perf.Bench.Counters;

namespace VmShunt.Perf.Bench;

/// <summary>The configuration of the suites; the command line can override it.</summary>
internal static class BenchConfig
{
    /// <summary>The folder of the reports, relative to the current folder.</summary>
    internal const string ArtifactsPath = "artifacts/bench";

    /// <param name="logger">Receives the log of BenchmarkDotNet.</param>
    /// <param name="job">The default job; null for that of BenchmarkDotNet.</param>
    internal static IConfig Create(ILogger logger, Job? job)
    {
        var config = ManualConfig.CreateEmpty()
            .AddLogger(logger)
            .AddColumnProvider(DefaultColumnProviders.Instance)
            .AddColumn(StatisticColumn.Min, StatisticColumn.Median, new MedianRatioColumn())
            .HideColumns(Column.Ratio, Column.RatioSD, Column.AllocRatio)
            .AddExporter(MarkdownExporter.GitHub, JsonExporter.Full)
            .AddAnalyser([.. DefaultConfig.Instance.GetAnalysers().Where(static analyser => analyser is not MinIterationTimeAnalyser)])
            .AddValidator([.. DefaultConfig.Instance.GetValidators()])
            .AddDiagnoser(new CountersDiagnoser())
            .WithArtifactsPath(ArtifactsPath);
        return job is null ? config : config.AddJob(job.AsDefault());
    }

    /// <summary>
    /// Precise enough for ratios, and fast enough for a suite in two minutes on two slow cores. Many short iterations, so
    /// that one the scheduler disturbs does not shift the median.
    /// </summary>
    internal static Job Quick { get; } = Job.Default
        .WithId("Quick")
        .WithWarmupCount(4)
        .WithIterationCount(30)
        .WithIterationTime(TimeInterval.FromMilliseconds(25));
}
