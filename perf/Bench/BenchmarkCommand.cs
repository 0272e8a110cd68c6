using System.CommandLine;
using BenchmarkDotNet.Loggers;
using VmShunt.Perf.Launch;

namespace VmShunt.Perf.Bench;

/// <summary><c>bench</c>: the BenchmarkDotNet suites.</summary>
internal static class BenchmarkCommand
{
    internal static Command Build()
    {
        // Options of BenchmarkDotNet and their values are passed on, so they cannot be parsed here.
        var words = new Argument<string[]>("filter")
        {
            Arity = ArgumentArity.ZeroOrMore,
            Description = "FILTER: part of the name of a suite or benchmark, or a pattern for Suite.Benchmark with * and ?. Default: all suites. Further words are options of BenchmarkDotNet, such as --job short.",
        };
        var list = new Option<bool>("--list") { Description = "List the benchmarks and exit." };
        var full = new Option<bool>("--full") { Description = "Use the default job of BenchmarkDotNet, which takes longer." };
        var command = new Command("bench", $"Runs the BenchmarkDotNet suites; writes reports to {BenchConfig.ArtifactsPath}.") { words, list, full };
        command.SetAction(parse =>
        {
            var given = parse.GetValue(words) ?? [];
            var hasFilter = given.Length > 0 && !given[0].StartsWith('-');
            var options = new BenchOptions(hasFilter ? given[0] : null, parse.GetValue(list), parse.GetValue(full), hasFilter ? given[1..] : given);
            // BenchmarkDotNet has no cancellation; suites stop their processes and delete their files when the process exits.
            using var stop = new StopSignals();
            using var registration = stop.Token.Register(() => Environment.Exit(stop.ExitCode ?? 1));
            var result = new SuiteRunner(Console.Out, Console.Error, ConsoleLogger.Default).Run(options);
            // The last suite may complete between the signal and the exit.
            return stop.ExitCode ?? result;
        });
        return command;
    }
}
