using System.CommandLine;
using VmShunt.Perf.Compare.Output;
using VmShunt.Perf.Compare.Rows;
using VmShunt.Perf.Compare.Sitting;
using VmShunt.Perf.Launch;

namespace VmShunt.Perf.Compare;

/// <summary><c>compare</c>: the table of every path and peer, or what moved between two tables.</summary>
internal static class CompareCommand
{
    internal static Command Build()
    {
        var files = new Argument<string[]>("files") { Arity = new ArgumentArity(0, 2), HelpName = "OLD NEW", Description = "Two results of --json: says what moved. One: draws it again, with --report or --markdown. None: measures." };
        var json = new Option<string?>("--json") { Description = "Write the result to this file." };
        var report = new Option<string?>("--report") { Description = "Write an HTML report to this file." };
        var markdown = new Option<string?>("--markdown") { Description = "Write the table as Markdown to this file." };
        var rows = new Option<string[]>("--rows") { AllowMultipleArgumentsPerToken = true, Description = $"Only these rows: {string.Join(", ", TableRows.All.Select(static row => row.Id))}." };
        var quick = new Option<bool>("--quick") { Description = "Short turns, few rounds, one engine of each peer: to see that it works, not to quote." };
        var all = new Option<bool>("--all") { Description = "With OLD NEW: list what did not move, too." };
        rows.Validators.Add(result =>
        {
            foreach (var word in result.GetValueOrDefault<string[]>() ?? [])
                if (TableRows.Find([word]).Count == 0) result.AddError($"--rows {word}: there is no such row");
        });
        var command = new Command("compare", "Measures every path and peer in turns, beside a calibration, and holds the ratios against their targets.") { files, json, report, markdown, rows, quick, all };
        command.Validators.Add(result =>
        {
            if (result.GetValue(files) is { Length: 1 } && result.GetValue(report) is null && result.GetValue(markdown) is null)
                result.AddError("compare takes two results, OLD and NEW, or one to draw again with --report or --markdown, or none");
            if (result.GetValue(files) is { Length: 2 } && (result.GetValue(report) ?? result.GetValue(markdown) ?? result.GetValue(json)) is not null)
                result.AddError("compare OLD NEW only says what moved; --report, --markdown and --json go with one result, or none");
        });
        command.SetAction(async (parse, _) =>
        {
            using var stop = new StopSignals();
            var console = ConsoleOf.Output();
            var errors = ConsoleOf.Errors();
            if (parse.GetValue(files) is [var old, var now]) return MovementTable.Show(old, now, parse.GetValue(all), console, errors);
            var options = new CompareOptions
            {
                Drawn = parse.GetValue(files) is [var one] ? one : null,
                Quick = parse.GetValue(quick),
                Rows = parse.GetValue(rows) ?? [],
                JsonFile = parse.GetValue(json),
                ReportFile = parse.GetValue(report),
                MarkdownFile = parse.GetValue(markdown),
            };
            var code = await new Comparison(options, console, errors, stop.Token).RunAsync();
            return stop.ExitCode ?? code;
        });
        return command;
    }
}
