using System.CommandLine;
using BenchmarkDotNet.Loggers;
using VmShunt.Perf.Launch;

namespace VmShunt.Perf.Bench;

/// <summary><c>bench</c>: the BenchmarkDotNet suites.</summary>
internal static class BenchmarkCommand
{
    internal static Command Build()
    {
        // What is not an option of ours goes on to BenchmarkDotNet, values included, so it cannot be parsed here.
        var words = new Argument<string[]>("filter")
        {
            Arity = ArgumentArity.ZeroOrMore,
            Description = "FILTER is a part of a suite's or benchmark's name, or a pattern of Suite.Benchmark with *; without it all suites run. What follows goes to BenchmarkDotNet, such as --job short.",
        };
        var list = new Option<bool>("--list") { Description = "Only list the benchmarks." };
        var full = new Option<bool>("--full") { Description = "BenchmarkDotNet's own, longer measurement instead of the quick one." };
        var command = new Command("bench", $"Runs the benchmark suites; reports go to {BenchConfig.ArtifactsPath}.") { words, list, full };
        command.SetAction(parse =>
        {
            var given = parse.GetValue(words) ?? [];
            var hasFilter = given.Length > 0 && !given[0].StartsWith('-');
            var options = new BenchOptions(hasFilter ? given[0] : null, parse.GetValue(list), parse.GetValue(full), hasFilter ? given[1..] : given);
            // BenchmarkDotNet knows no cancellation; suites that hold processes and files give them up when the process exits.
            using var stop = new StopSignals();
            using var registration = stop.Token.Register(() => Environment.Exit(stop.ExitCode ?? 1));
            var result = new SuiteRunner(Console.Out, Console.Error, ConsoleLogger.Default).Run(options);
            // The last suite may end between the signal and the exit.
            return stop.ExitCode ?? result;
        });
        return command;
    }
}
