using System.CommandLine;
using VmShunt.Perf.Compare.Output;
using VmShunt.Perf.Compare.Rows;
using VmShunt.Perf.Compare.Session;
using VmShunt.Perf.Launch;

namespace VmShunt.Perf.Compare;

/// <summary><c>compare</c>: measures every path and peer, or compares two results.</summary>
internal static class CompareCommand
{
    /// <param name="program">What runs it, as a user would write it.</param>
    internal static Command Build(string program = LaunchOptions.ByProject)
    {
        var files = new Argument<string[]>("files") { Arity = new ArgumentArity(0, 2), HelpName = "OLD NEW", Description = "Two results of --json: list what changed from OLD to NEW. One: render it again with --report or --markdown. None: measure." };
        var json = new Option<string?>("--json") { Description = "Write the result to this file as JSON." };
        var report = new Option<string?>("--report") { Description = "Write an HTML report with charts to this file." };
        var markdown = new Option<string?>("--markdown") { Description = "Write the tables to this file as Markdown." };
        var rows = new Option<string[]>("--rows") { AllowMultipleArgumentsPerToken = true, Description = $"Measure only these rows: {string.Join(", ", TableRows.All.Select(static row => row.Id))}." };
        var native = new Option<FileInfo>("--native")
        {
            DefaultValueFactory = static _ => new FileInfo("artifacts/native/vmshunt-host"),
            Description = "The native vmshunt-host to measure beside the JIT's; left out if the default is missing.",
        };
        native.Validators.Add(result =>
        {
            if (!result.Implicit && result.GetValueOrDefault<FileInfo>() is { Exists: false } file) result.AddError($"--native {file}: there is no such file; dotnet build packaging -c Release -t:Native makes one");
        });
        var quick = new Option<bool>("--quick") { Description = "Short measurements, few rounds, one engine per peer. A smoke test; do not quote the figures." };
        var all = new Option<bool>("--all") { Description = "With OLD NEW: also list figures that did not change." };
        rows.Validators.Add(result =>
        {
            foreach (var word in result.GetValueOrDefault<string[]>() ?? [])
                if (TableRows.Find([word]).Count == 0) result.AddError($"--rows {word}: no row has an id that starts with it");
        });
        var command = new Command("compare", "Measures every path and peer (qemu-storage-daemon, fio) in interleaved rounds with a calibration, and checks the ratios against their targets. Takes about ten minutes.") { files, json, report, markdown, rows, native, quick, all };
        command.Validators.Add(result =>
        {
            if (result.GetValue(files) is { Length: 1 } && result.GetValue(report) is null && result.GetValue(markdown) is null)
                result.AddError("give two results (OLD NEW), one result with --report or --markdown, or none");
            if (result.GetValue(files) is { Length: 2 } && (result.GetValue(report) ?? result.GetValue(markdown) ?? result.GetValue(json)) is not null)
                result.AddError("--report, --markdown and --json need one result or none, not two");
        });
        command.SetAction(async (parse, _) =>
        {
            using var stop = new StopSignals();
            var console = Consoles.Output();
            var errors = Consoles.Errors();
            if (parse.GetValue(files) is [var old, var now]) return ChangesTable.Show(old, now, parse.GetValue(all), console, errors);
            var options = new CompareOptions
            {
                Program = program,
                Rendered = parse.GetValue(files) is [var one] ? one : null,
                Quick = parse.GetValue(quick),
                Rows = parse.GetValue(rows) ?? [],
                NativeHost = parse.GetValue(native) is { Exists: true } file ? file.FullName : null,
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
