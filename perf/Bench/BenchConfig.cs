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

/// <summary>How the suites are run and reported unless the command line says otherwise.</summary>
internal static class BenchConfig
{
    /// <summary>Where reports go, from the current folder.</summary>
    internal const string ArtifactsPath = "artifacts/bench";

    /// <param name="logger">Where BenchmarkDotNet writes what it does.</param>
    /// <param name="job">The job that is run when the command line names none; null for BenchmarkDotNet's own.</param>
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
    /// Long enough for ratios, short enough for a whole suite in two minutes on two slow cores. Many short iterations, so
    /// that one which the scheduler disturbed does not shift the median.
    /// </summary>
    internal static Job Quick { get; } = Job.Default
        .WithId("Quick")
        .WithWarmupCount(4)
        .WithIterationCount(30)
        .WithIterationTime(TimeInterval.FromMilliseconds(25));
}
