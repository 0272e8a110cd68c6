using System.Text;
using VmShunt.Perf.Lifecycle.Rigs;

namespace VmShunt.Perf.Lifecycle;

/// <summary>The tables of docs/lifecycle.md: one per front-end, a mark per cell.</summary>
internal static class LifecycleTable
{
    private const string Begin = "<!-- lifecycle: written by the command -->", End = "<!-- lifecycle: end -->";

    /// <summary>The page with its tables as the results say.</summary>
    internal static string Write(string page, IReadOnlyDictionary<LifecycleCell, LifecycleResult> results)
    {
        int begin = page.IndexOf(Begin, StringComparison.Ordinal), end = page.IndexOf(End, StringComparison.Ordinal);
        if (begin < 0 || end < begin) throw new FormatException($"the page has no lines \"{Begin}\" and \"{End}\"");
        return string.Concat(page.AsSpan(0, begin), $"{Begin}\n\n{Tables(results)}", page.AsSpan(end));
    }

    /// <summary>A cell's mark.</summary>
    internal static string Mark(LifecycleVerdict verdict) => verdict switch
    {
        LifecycleVerdict.Passed => "✓",
        LifecycleVerdict.Lost => "**lost**",
        LifecycleVerdict.Wrong => "**wrong**",
        LifecycleVerdict.CannotBeSaved => "log",
        LifecycleVerdict.DoesNotExist => "–",
        _ => "",
    };

    private static string Tables(IReadOnlyDictionary<LifecycleCell, LifecycleResult> results)
    {
        var text = new StringBuilder();
        foreach (var frontend in LifecycleFrontend.All)
        {
            var own = results.Values.Where(result => result.Cell.Frontend == frontend.Name).ToList();
            var version = own.Select(static result => result.Version).LastOrDefault(static version => version.Length > 0);
            var dates = own.Select(static result => result.Date).Order(StringComparer.Ordinal).ToList();
            text.Append($"### {frontend.Title}{(version is null ? "" : $": {version}")}\n\n");
            if (dates.Count > 0) text.Append(dates[0] == dates[^1] ? $"Run on {dates[0]}. " : $"Run from {dates[0]} to {dates[^1]}. ");
            text.Append(Counts(own) + "\n\n");
            text.Append($"| event | {string.Join(" | ", from withheld in LifecycleCell.WithheldFeatures from disk in Rig.Disks select $"{Column(withheld.Name)}{(disk.IsPacked ? "packed" : "split")} {(disk.IsLoaded ? "load" : "idle")}")} |\n");
            text.Append($"|---|{string.Concat(Enumerable.Repeat("---|", LifecycleCell.WithheldFeatures.Count * Rig.Disks.Count))}\n");
            foreach (var what in LifecycleEvent.All)
            {
                var marks = from withheld in LifecycleCell.WithheldFeatures
                            from cell in LifecycleCell.Of(frontend.Name, withheld.Name, what)
                            select results.TryGetValue(cell, out var result) ? Mark(result.Verdict) : Mark(LifecycleVerdict.NotRun);
                text.Append($"| {what.Name} | {string.Join(" | ", marks)} |\n");
            }
            text.Append('\n');
        }
        return text.ToString();
    }

    private static string Column(string withheld) => withheld == LifecycleCell.WithheldFeatures[0].Name ? "" : $"no {withheld}: ";

    private static string Counts(IEnumerable<LifecycleResult> results) =>
        string.Join(", ", results.GroupBy(static result => result.Verdict).OrderBy(static group => group.Key).Select(static group => $"{group.Count()} {Name(group.Key)}")) + ".";

    private static string Name(LifecycleVerdict verdict) => verdict switch
    {
        LifecycleVerdict.Passed => "passed",
        LifecycleVerdict.Lost => "lost",
        LifecycleVerdict.Wrong => "wrong",
        LifecycleVerdict.CannotBeSaved => "that the protocol cannot save, logged",
        LifecycleVerdict.DoesNotExist => "that do not exist",
        _ => "not run",
    };
}
