using VmShunt.Perf.Lifecycle.Processes;
using VmShunt.Perf.Lifecycle.Rigs;

namespace VmShunt.Perf.Lifecycle;

/// <summary>One run of a cell.</summary>
/// <param name="Cell">The cell.</param>
/// <param name="Version">The front-end's version; empty for our own driver.</param>
/// <param name="Date">The day of the run.</param>
/// <param name="Verdict">What became of the disk.</param>
/// <param name="Detail">Why.</param>
internal sealed record LifecycleResult(LifecycleCell Cell, string Version, string Date, LifecycleVerdict Verdict, string Detail);

/// <summary>The results that are checked in, as CSV. A line is appended per run; the last one of a cell counts.</summary>
internal static class LifecycleResults
{
    private const string Header = "front-end,version,withheld,event,layout,load,date,verdict,detail";
    private const int MostDetail = 200;

    internal static string File { get; } = Path.Combine(Repository.Root, "perf", "results", "lifecycle.csv");

    /// <summary>The latest result of each cell.</summary>
    internal static Dictionary<LifecycleCell, LifecycleResult> Read(string file)
    {
        var latest = new Dictionary<LifecycleCell, LifecycleResult>();
        if (!System.IO.File.Exists(file)) return latest;
        foreach (var line in System.IO.File.ReadLines(file).Skip(1))
        {
            if (line.Split(',', 9) is not [var frontend, var version, var withheld, var what, var layout, var load, var date, var verdict, var detail]) continue;
            var cell = new LifecycleCell(frontend, withheld, what, layout == "packed", load == "load");
            latest[cell] = new LifecycleResult(cell, version, date, Enum.Parse<LifecycleVerdict>(verdict), detail);
        }
        return latest;
    }

    internal static void Append(string file, LifecycleResult result)
    {
        if (!System.IO.File.Exists(file)) System.IO.File.WriteAllText(file, Header + "\n");
        var detail = result.Detail.ReplaceLineEndings(" ");
        var cell = result.Cell;
        System.IO.File.AppendAllText(
            file, $"{cell.Frontend},{result.Version},{cell.Withheld},{cell.Event},{cell.Layout},{cell.Load},{result.Date},{result.Verdict},{(detail.Length > MostDetail ? detail[..MostDetail] : detail)}\n");
    }
}
