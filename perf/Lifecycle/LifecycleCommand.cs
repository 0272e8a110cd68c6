using System.CommandLine;
using System.Globalization;
using VmShunt.Perf.Launch;
using VmShunt.Perf.Lifecycle.Processes;
using VmShunt.Perf.Lifecycle.Rigs;

namespace VmShunt.Perf.Lifecycle;

/// <summary>
/// <c>lifecycle</c>: what becomes of a guest's disk when VM-H, the front-end or the guest ends, stops or starts again. A cell
/// that has a result is not run again, so that a run can be stopped and resumed.
/// </summary>
internal static class LifecycleCommand
{
    internal static Command Build()
    {
        var cells = new Argument<string[]>("cells") { Arity = ArgumentArity.ZeroOrMore, Description = "Only cells whose name has one of these texts in it, such as qemu-sid:, :INFLIGHT:, :SIGTERM:, :packed:load. Default: all." };
        var again = new Option<bool>("--again") { Description = "Also run cells that have a result." };
        var quick = new Option<bool>("--quick") { Description = "Only cells in which nothing is withheld." };
        var table = new Option<bool>("--table") { Description = "Run nothing: write the results into docs/lifecycle.md." };
        var command = new Command("lifecycle", "Fills the matrix of docs/lifecycle.md: events, ring layouts, front-ends, load, and protocol features that a relay withholds. Takes about 40 minutes; build with -c Release first.") { cells, again, quick, table };
        command.SetAction(async (parse, unused) =>
        {
            if (parse.GetValue(table)) return WriteTable();
            var wanted = parse.GetValue(cells) ?? [];
            using var stop = new StopSignals();
            var code = await RunAsync(
                cell => (wanted.Length == 0 || wanted.Any(text => cell.ToString().Contains(text, StringComparison.Ordinal))) && (!parse.GetValue(quick) || cell.Withheld == LifecycleCell.WithheldFeatures[0].Name),
                parse.GetValue(again), stop.Token);
            return stop.ExitCode ?? code;
        });
        return command;
    }

    private static async Task<int> RunAsync(Func<LifecycleCell, bool> isSelected, bool again, CancellationToken cancel)
    {
        var known = LifecycleResults.Read(LifecycleResults.File);
        var seen = new List<LifecycleResult>();
        foreach (var frontend in LifecycleFrontend.All)
        {
            if (frontend.Missing() is { } missing) Console.WriteLine($"{frontend.Name}: not run: {missing}");
        }
        var rigs = from withheld in LifecycleCell.WithheldFeatures from frontend in LifecycleFrontend.All where frontend.Missing() is null select (frontend, withheld);
        foreach (var (frontend, withheld) in rigs)
        {
            await using var rig = new RigSource(engine => frontend.StartAsync(withheld.Features, engine));
            foreach (var what in LifecycleEvent.All)
            {
                // An event is not left in the middle.
                if (cancel.IsCancellationRequested) break;
                var due = LifecycleCell.Of(frontend.Name, withheld.Name, what).Where(isSelected).Where(cell => again || !known.ContainsKey(cell)).ToHashSet();
                if (due.Count == 0) continue;
                foreach (var outcome in await rig.RunAsync(what))
                {
                    var cell = new LifecycleCell(frontend.Name, withheld.Name, what.Name, outcome.IsPacked, outcome.IsLoaded);
                    if (outcome.Verdict == LifecycleVerdict.NotRun || !due.Contains(cell)) continue;
                    var result = new LifecycleResult(cell, rig.Version, DateTime.UtcNow.ToString("yyyy-MM-dd", CultureInfo.InvariantCulture), outcome.Verdict, outcome.Detail);
                    seen.Add(result);
                    LifecycleResults.Append(LifecycleResults.File, result);
                    Console.WriteLine($"{DateTime.UtcNow:HH:mm:ss} {cell}: {outcome.Verdict} {outcome.Detail.ReplaceLineEndings(" ")}");
                }
            }
        }
        var failed = seen.Where(static result => result.Verdict is LifecycleVerdict.Lost or LifecycleVerdict.Wrong).ToList();
        Console.WriteLine($"{seen.Count} cells run, {failed.Count} lost or wrong");
        foreach (var result in failed) Console.WriteLine($"{result.Verdict}: {result.Cell}: {result.Detail}");
        return failed.Count == 0 ? 0 : 1;
    }

    private static int WriteTable()
    {
        var page = Path.Combine(Repository.Root, "docs", "lifecycle.md");
        File.WriteAllText(page, LifecycleTable.Write(File.ReadAllText(page), LifecycleResults.Read(LifecycleResults.File)));
        return 0;
    }

    /// <summary>One rig after another: a damaged one, or one with another engine, is replaced at the next event.</summary>
    private sealed class RigSource(Func<string, Task<Rig>> startAsync) : IAsyncDisposable
    {
        private Rig? _rig;

        internal string Version { get; private set; } = "";

        internal async Task<IReadOnlyList<CellOutcome>> RunAsync(LifecycleEvent what)
        {
            try
            {
                return await TryAsync(what);
            }
            catch (Exception e) when (e is TimeoutException or GuestException or LaunchException)
            {
                // An event may also have damaged what the next one met: it is tried on a new rig before it is blamed.
                Console.WriteLine($"{what.Name}: tried again: {e.Message}");
            }
            try
            {
                return await TryAsync(what);
            }
            catch (Exception e) when (e is TimeoutException or GuestException or LaunchException)
            {
                return CellOutcome.OfAll(LifecycleVerdict.Lost, e.Message);
            }
        }

        public async ValueTask DisposeAsync()
        {
            if (_rig is not null) await _rig.DisposeAsync();
            _rig = null;
        }

        private async Task<IReadOnlyList<CellOutcome>> TryAsync(LifecycleEvent what)
        {
            if (_rig is not null && (_rig.IsDamaged || _rig.Engine != what.Engine)) await DisposeAsync();
            _rig ??= await startAsync(what.Engine);
            Version = _rig.Version;
            return await _rig.RunAsync(what);
        }
    }
}
