using System.CommandLine;
using System.Globalization;
using VmShunt.Perf.House;
using VmShunt.Perf.Launch;

namespace VmShunt.Perf.Mutants;

/// <summary>
/// <c>mutants</c>: applies each mutant of tests/Mutants to a copy of the built repository, runs the tests that it names, and
/// expects them to fail. What has a result is not run again, so that a run can be stopped and resumed.
/// </summary>
internal static class MutantsCommand
{
    private static readonly TimeSpan s_launchLimit = TimeSpan.FromMinutes(5);

    internal static Command Build()
    {
        var names = new Argument<string[]>("names") { Arity = ArgumentArity.ZeroOrMore, Description = "Only mutants whose name begins so. Default: all." };
        var rows = new Option<string[]>("--rows") { AllowMultipleArgumentsPerToken = true, Description = "Only mutants of these rows, such as P02 or 2.7.9." };
        var again = new Option<bool>("--again") { Description = "Also run mutants that have a result." };
        var noLaunch = new Option<bool>("--no-launch") { Description = "Leave out launch --quick, which tells blunt mutants (everything fails) from sharp ones." };
        var maps = new Option<bool>("--maps") { Description = "Run nothing: write the results into docs/patent-map.md and docs/conformance.md." };
        var command = new Command("mutants", "Puts each fault of tests/Mutants into a copy of the built repository and checks that the tests that it names fail. Build the tests with -c Release first.") { names, rows, again, noLaunch, maps };
        command.SetAction(async (parse, cancel) =>
        {
            try
            {
                var all = Mutant.All(HouseFiles.Root);
                if (parse.GetValue(maps)) return WriteMaps(all);
                string[] wanted = parse.GetValue(names) ?? [], of = parse.GetValue(rows) ?? [];
                var selected = all.Where(mutant => (wanted.Length == 0 || wanted.Any(name => mutant.Name.StartsWith(name, StringComparison.Ordinal)))
                    && (of.Length == 0 || of.Any(mutant.Rows.Contains))).ToList();
                return await RunAsync(all, selected, parse.GetValue(again), !parse.GetValue(noLaunch), cancel);
            }
            catch (Exception e) when (e is LaunchException or FormatException)
            {
                Console.Error.WriteLine(e.Message);
                return 1;
            }
        });
        return command;
    }

    private static async Task<int> RunAsync(IReadOnlyList<Mutant> all, List<Mutant> selected, bool again, bool launch, CancellationToken cancel)
    {
        var known = MutantResults.Read(HouseFiles.Root, all);
        var due = selected.Where(mutant => again || !known.TryGetValue(mutant.Name, out var result) || (launch && result.Launch == MutantResult.NotRun)).ToList();
        if (due.Count > 0)
        {
            using var tree = MutantTree.Copy(HouseFiles.Root);
            foreach (var mutant in due)
            {
                var result = await TryAsync(tree, mutant, again ? null : known.GetValueOrDefault(mutant.Name), launch, cancel);
                known[mutant.Name] = result;
                MutantResults.Append(HouseFiles.Root, result);
                Console.WriteLine($"{mutant.Name}: {result.Verdict}, launch {result.Launch}: {result.Detail.ReplaceLineEndings(" ")}");
            }
        }
        var results = selected.Select(mutant => known[mutant.Name]).ToList();
        var failed = results.Where(static result => !result.IsKilled).ToList();
        Console.WriteLine($"{results.Count} mutants: {results.Count - failed.Count} killed, {results.Count(static result => result.IsBlunt)} blunt");
        foreach (var result in failed) Console.WriteLine($"not killed: {result.Name}, {result.Verdict}: {result.Detail}");
        return failed.Count == 0 ? 0 : 1;
    }

    private static async Task<MutantResult> TryAsync(MutantTree tree, Mutant mutant, MutantResult? before, bool launch, CancellationToken cancel)
    {
        var today = DateTime.UtcNow.ToString("yyyy-MM-dd", CultureInfo.InvariantCulture);
        var ((verdict, detail, launched), fault) = await tree.WithAsync(mutant, async () =>
        {
            var (verdict, detail) = before is null ? await MutantRun.RunAsync(tree.Root, mutant, cancel) : (before.Verdict, before.Detail);
            return (verdict, detail, launch ? await LaunchAsync(tree.Root, cancel) : MutantResult.NotRun);
        }, cancel);
        return fault is null
            ? new MutantResult(mutant.Name, mutant.Content, today, verdict, launched, detail)
            : new MutantResult(mutant.Name, mutant.Content, today, MutantVerdict.Unbuildable, MutantResult.NotRun, fault);
    }

    private static async Task<string> LaunchAsync(string root, CancellationToken cancel)
    {
        var program = Path.Combine(root, "perf", "bin", "Release", "net10.0", "vmshunt-perf.dll");
        var (code, _) = await ProgramRun.RunAsync("dotnet", [program, "launch", "--quick"], s_launchLimit, cancel);
        return code == 0 ? MutantResult.Works : MutantResult.Fails;
    }

    private static int WriteMaps(IReadOnlyList<Mutant> all)
    {
        var results = MutantResults.Read(HouseFiles.Root, all);
        foreach (var page in MutantMaps.Pages)
        {
            var file = Path.Combine(HouseFiles.Root, "docs", page);
            File.WriteAllText(file, MutantMaps.Write(File.ReadAllText(file), all, results));
        }
        return 0;
    }
}
