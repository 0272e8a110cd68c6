using System.Text.RegularExpressions;
using System.Xml.Linq;
using VmShunt.Perf.Lifecycle.Processes;

namespace VmShunt.Perf.Mutants;

/// <summary>Runs the tests that a mutant names, in a copy of the built repository.</summary>
internal static partial class MutantRun
{
    private static readonly XNamespace s_trx = "http://microsoft.com/schemas/VisualStudio/TeamTest/2010";
    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(10);

    internal static async Task<(MutantVerdict Verdict, string Detail)> RunAsync(string root, Mutant mutant, CancellationToken cancel)
    {
        var detail = "";
        for (var run = 1; run <= mutant.Runs; run++)
        {
            (var verdict, detail) = await RunOnceAsync(root, mutant.Tests, cancel);
            if (verdict != MutantVerdict.Killed) return (verdict, mutant.Runs == 1 ? detail : $"run {run} of {mutant.Runs}: {detail}");
        }
        return (MutantVerdict.Killed, detail);
    }

    private static async Task<(MutantVerdict Verdict, string Detail)> RunOnceAsync(string root, IReadOnlyList<string> tests, CancellationToken cancel)
    {
        string? detail = null;
        foreach (var group in tests.GroupBy(test => ProjectOf(root, test)))
        {
            var results = Directory.CreateTempSubdirectory("vmshunt-trx-");
            try
            {
                var filter = string.Join('|', group.Select(static test => $"FullyQualifiedName~.{test}"));
                string[] arguments = ["test", AssemblyOf(root, group.Key), "--filter", filter, "--logger", "trx;LogFileName=run.trx", "--results-directory", results.FullName];
                var (code, output) = await ProgramRun.RunAsync("dotnet", arguments, s_limit, cancel);
                var file = Path.Combine(results.FullName, "run.trx");
                if (code == ProgramRun.TimedOut) return (MutantVerdict.Hung, $"{string.Join(", ", group)} after {s_limit.TotalMinutes:F0} minutes");
                if (!File.Exists(file)) return (MutantVerdict.Threw, $"the test run ended early: {output.Trim().Split('\n')[^1]}");
                var failures = Failures(XDocument.Load(file)).ToList();
                // A process that crashes leaves a report without a failure.
                if (code != 0 && failures.Count == 0) return (MutantVerdict.Threw, $"the test run ended early: {output.Trim().Split('\n')[^1]}");
                foreach (var test in group)
                {
                    var messages = failures.Where(failure => IsOf(failure.Name, test)).Select(static failure => failure.Message).ToList();
                    if (messages.Count == 0) return (MutantVerdict.Survived, $"{test} passed");
                    if (messages.Find(IsAssertion) is not { } assertion) return (MutantVerdict.Threw, $"{test}: {messages[0]}");
                    detail ??= assertion;
                }
            }
            finally
            {
                results.Delete(recursive: true);
            }
        }
        return (MutantVerdict.Killed, detail ?? "");
    }

    private static IEnumerable<(string Name, string Message)> Failures(XDocument trx) =>
        trx.Descendants(s_trx + "UnitTestResult")
            .Where(static result => (string?)result.Attribute("outcome") == "Failed")
            .Select(static result => ((string?)result.Attribute("testName") ?? "", result.Descendants(s_trx + "Message").FirstOrDefault()?.Value ?? ""));

    // A case of a theory has its arguments behind the name.
    private static bool IsOf(string name, string test) => name.Split('(')[0].EndsWith("." + test, StringComparison.Ordinal);

    /// <summary>
    /// Whether a test failed by an assertion. An exception that ends a test has its type in front; one of a bounded wait
    /// says what was waited for.
    /// </summary>
    internal static bool IsAssertion(string message) =>
        !Exception().IsMatch(message)
        || message.StartsWith("System.TimeoutException", StringComparison.Ordinal)
        // What a guest does wrong is found by the guest's rig.
        || message.StartsWith(typeof(GuestException).FullName!, StringComparison.Ordinal)
        // A property that does not hold; the assertion is inside.
        || message.StartsWith("CsCheck.", StringComparison.Ordinal);

    private static string ProjectOf(string root, string test) =>
        ((string[])["VmShunt.Tests", "VmShunt.EndToEnd"]).First(project => project == "VmShunt.EndToEnd" || Names(Path.Combine(root, "tests", project), test));

    private static bool Names(string folder, string test) =>
        Directory.EnumerateFiles(folder, "*.cs", SearchOption.AllDirectories).Any(file => File.ReadAllText(file).Contains($" {test}(", StringComparison.Ordinal));

    private static string AssemblyOf(string root, string project) => Path.Combine(root, "tests", project, "bin", "Release", "net10.0", project + ".dll");

    [GeneratedRegex(@"^[\w.]+\.\w*Exception\s*:")]
    private static partial Regex Exception();
}
