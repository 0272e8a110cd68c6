using System.Reflection;
using BenchmarkDotNet.Attributes;

namespace VmShunt.Perf.Bench;

/// <summary>The BenchmarkDotNet suites of this assembly: one a class, its public methods the benchmarks.</summary>
internal static class Suites
{
    /// <summary>All of them, by name.</summary>
    internal static IReadOnlyList<Type> All { get; } =
    [
        .. Assembly.GetExecutingAssembly().GetTypes().Where(static type => Benchmarks(type).Any()).OrderBy(static type => type.Name, StringComparer.Ordinal),
    ];

    /// <summary>The names of a suite's benchmarks, in the order of the source.</summary>
    internal static IEnumerable<string> Benchmarks(Type suite) => suite.GetMethods()
        .Where(static method => method.GetCustomAttribute<BenchmarkAttribute>() is not null)
        .Select(static method => method.Name);

    /// <summary>
    /// The benchmarks that a filter means. Without a wildcard it is a part of the name of a suite or a benchmark; with one
    /// (* or ?) it is a pattern of the whole <c>Suite.Benchmark</c>. Letters count the same in either case.
    /// </summary>
    /// <returns>The suites and their benchmarks; nothing when the filter means none.</returns>
    internal static IReadOnlyList<(Type Suite, string Benchmark)> Find(string? filter)
    {
        var all = All.SelectMany(static suite => Benchmarks(suite).Select(benchmark => (suite, benchmark)));
        return [.. all.Where(one => filter is null || Matches(one.suite.Name, one.benchmark, filter))];
    }

    private static bool Matches(string suite, string benchmark, string filter) => filter.AsSpan().ContainsAny('*', '?')
        ? System.IO.Enumeration.FileSystemName.MatchesSimpleExpression(filter, $"{suite}.{benchmark}", ignoreCase: true)
        : $"{suite}.{benchmark}".Contains(filter, StringComparison.OrdinalIgnoreCase);
}
