using System.Reflection;
using BenchmarkDotNet.Attributes;
using BenchmarkDotNet.Running;

namespace VmShunt.Perf.Bench;

/// <summary>The BenchmarkDotNet suites of this assembly.</summary>
internal static class Suites
{
    /// <summary>Runs the suites whose name matches.</summary>
    /// <param name="filter">A pattern as BenchmarkDotNet takes it; null for all.</param>
    /// <param name="rest">Further BenchmarkDotNet options, such as <c>--job short</c>.</param>
    internal static int Run(string? filter, IReadOnlyList<string> rest)
    {
        Type[] suites = [.. Assembly.GetExecutingAssembly().GetTypes().Where(HasBenchmarks)];
        if (suites.Length == 0)
        {
            Console.Error.WriteLine("there are no benchmark suites in this build");
            return 1;
        }
        var pattern = filter is null ? "*" : filter.Contains('*', StringComparison.Ordinal) ? filter : $"*{filter}*";
        return new BenchmarkSwitcher(suites).Run(["--filter", pattern, .. rest]).Any() ? 0 : 1;
    }

    private static bool HasBenchmarks(Type type) =>
        type.GetMethods().Any(static method => method.GetCustomAttribute<BenchmarkAttribute>() is not null);
}
