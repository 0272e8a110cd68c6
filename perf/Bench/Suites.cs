using System.Reflection;
using BenchmarkDotNet.Attributes;

namespace VmShunt.Perf.Bench;

/// <summary>The BenchmarkDotNet suites of this assembly: a suite is a class, its benchmarks are methods.</summary>
internal static class Suites
{
    /// <summary>All suites by name.</summary>
    internal static IReadOnlyList<Type> All { get; } =
    [
        .. Assembly.GetExecutingAssembly().GetTypes().Where(static type => Benchmarks(type).Any()).OrderBy(static type => type.Name, StringComparer.Ordinal),
    ];

    /// <summary>The names of a suite's benchmarks, in the order of the source.</summary>
    internal static IEnumerable<string> Benchmarks(Type suite) => suite.GetMethods()
        .Where(static method => method.GetCustomAttribute<BenchmarkAttribute>() is not null)
        .Select(static method => method.Name);

    /// <summary>
    /// The benchmarks that match a filter, ignoring case. Without a wildcard (* or ?) the filter is a part of
    /// <c>Suite.Benchmark</c>; with one it is a pattern for the whole.
    /// </summary>
    /// <returns>The matching suites and benchmarks; empty if there are none.</returns>
    internal static IReadOnlyList<(Type Suite, string Benchmark)> Find(string? filter)
    {
        var all = All.SelectMany(static suite => Benchmarks(suite).Select(benchmark => (suite, benchmark)));
        return [.. all.Where(one => filter is null || Matches(one.suite.Name, one.benchmark, filter))];
    }

    private static bool Matches(string suite, string benchmark, string filter) => filter.AsSpan().ContainsAny('*', '?')
        ? System.IO.Enumeration.FileSystemName.MatchesSimpleExpression(filter, $"{suite}.{benchmark}", ignoreCase: true)
        : $"{suite}.{benchmark}".Contains(filter, StringComparison.OrdinalIgnoreCase);
}
