using System.Globalization;

namespace VmShunt.Perf.Mutants;

/// <summary>One run of a mutant.</summary>
/// <param name="Name">The mutant.</param>
/// <param name="Content">Identifies its text: a changed mutant has no result.</param>
/// <param name="Date">The day of the run.</param>
/// <param name="Verdict">What its tests said.</param>
/// <param name="Launch">Whether <c>launch --quick</c> succeeds with it: works, fails (the mutant is blunt), or - if it was not run.</param>
/// <param name="Detail">The first failure, or what is wrong.</param>
internal sealed record MutantResult(string Name, string Content, string Date, MutantVerdict Verdict, string Launch, string Detail)
{
    internal const string NotRun = "-", Works = "works", Fails = "fails";

    internal bool IsKilled => Verdict == MutantVerdict.Killed;

    internal bool IsBlunt => Launch == Fails;
}

/// <summary>The results that are checked in, as CSV. A line is appended per run; the last one of a mutant counts.</summary>
internal static class MutantResults
{
    private const string Header = "mutant,content,date,verdict,launch,detail";

    internal static string FileOf(string root) => Path.Combine(Mutant.FolderOf(root), "results.csv");

    /// <summary>The latest result of each mutant whose text has not changed since.</summary>
    internal static Dictionary<string, MutantResult> Read(string root, IEnumerable<Mutant> mutants)
    {
        var latest = new Dictionary<string, MutantResult>();
        var contents = mutants.ToDictionary(static mutant => mutant.Name, static mutant => mutant.Content);
        if (!File.Exists(FileOf(root))) return latest;
        foreach (var line in File.ReadLines(FileOf(root)).Skip(1))
        {
            if (line.Split(',', 6) is not [var name, var content, var date, var verdict, var launch, var detail]) continue;
            if (contents.TryGetValue(name, out var now) && now == content)
                latest[name] = new MutantResult(name, content, date, Enum.Parse<MutantVerdict>(verdict, ignoreCase: true), launch, detail);
        }
        return latest;
    }

    internal static void Append(string root, MutantResult result)
    {
        var file = FileOf(root);
        if (!File.Exists(file)) File.WriteAllText(file, Header + "\n");
        var detail = result.Detail.ReplaceLineEndings(" ");
        var verdict = result.Verdict.ToString().ToLower(CultureInfo.InvariantCulture);
        File.AppendAllText(file, $"{result.Name},{result.Content},{result.Date},{verdict},{result.Launch},{(detail.Length > 160 ? detail[..160] : detail)}\n");
    }
}
