using VmShunt.EndToEnd.Processes;
using Xunit.Abstractions;

namespace VmShunt.EndToEnd.Shunt;

/// <summary>
/// A stream of requests has the results, errors and content that a model gives for it, however it is configured. The short
/// form tries each source and position with two of the four policies, so that each policy meets every source and position.
/// </summary>
public sealed class OracleTests(OwnDisk own, ITestOutputHelper output) : IClassFixture<OwnDisk>, IDisposable
{
    private static readonly string[] s_sources = ["told", "arrives", "looks", "tries", "commanded"];
    private static readonly string[] s_positions = ["above-class", "below-class", "below-port"];
    private static readonly string[] s_policies = ["all", "importance", "frequency", "effort"];

    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task One_stream_of_requests_gives_the_same_results_by_every_mode_source_position_policy_and_path(bool isReadOnly)
    {
        var seed = Random.Shared.Next();
        output.WriteLine($"seed {seed}");
        var random = new Random(seed);
        var path = own.CopyTo(_folder);
        var model = File.ReadAllBytes(path);
        await using var machine = await RunningMachine.BootAsync(path, isReadOnly);
        int ways = 0, pairs = 0;
        var diverted = 0L;
        foreach (var source in s_sources)
        {
            foreach (var position in s_positions)
            {
                var pair = pairs++;
                foreach (var policy in LongForm.IsSelected ? s_policies : [s_policies[pair % 4], s_policies[(pair + 2) % 4]])
                {
                    await machine.AskAsync($"shunt --mode-source {source} --shunt-position {position} --shunt-policy {policy}");
                    foreach (var (mode, stack) in ((string, string)[])[("emulating", "emulating"), ("enlightened", "emulating"), ("enlightened", "enlightened"), ("alternate", "emulating")])
                    {
                        await machine.ModeAsync(mode);
                        await ReplayAsync(machine, model, random.Next(), new Way(source, position, policy, mode, stack), isReadOnly);
                        ways++;
                    }
                    diverted = (await machine.AskAsync("shunt")).GetProperty("diverted").GetInt64();
                }
            }
        }
        output.WriteLine($"{ways} ways, {diverted} requests diverted");
        Assert.Equal(pairs * (LongForm.IsSelected ? s_policies.Length : 2) * 4, ways);
        Assert.True(diverted > ways, "requests were diverted");
        await machine.AskAsync("flush");
        Assert.True(model.AsSpan().SequenceEqual(File.ReadAllBytes(path)), $"the disk holds what the model holds; seed {seed}");
    }

    private async Task ReplayAsync(RunningMachine machine, byte[] model, int seed, Way way, bool isReadOnly)
    {
        var script = RequestScript.Make(model, seed, requests: 40, isReadOnly);
        var issued = machine.IssuedCommands();
        File.WriteAllLines(_folder["script"], script.Lines);
        var answer = await machine.AskAsync($"replay --stack {way.Stack} --script {_folder["script"]} --transcript {_folder["transcript"]}");
        var results = File.ReadAllLines(_folder["transcript"]);
        for (var i = 0; i < Math.Min(results.Length, script.Expected.Count); i++)
        {
            var line = script.Lines.Where(static l => l != "wait").ElementAt(i);
            Assert.True(results[i] == script.Expected[i], $"{way}: '{line}' gave '{results[i]}', the model gives '{script.Expected[i]}'; seed {seed}");
        }
        Assert.Equal(script.Expected.Count, results.Length);
        AssertPath(script, way, answer.GetProperty("trap").GetInt64(), answer.GetProperty("ring").GetInt64(), machine.IssuedCommands() - issued, seed);
    }

    /// <summary>Each request took the path that mode, source, position and policy say.</summary>
    /// <param name="script">The requests.</param>
    /// <param name="way">How they were sent.</param>
    /// <param name="trapped">Requests that the guest completed on the trap path.</param>
    /// <param name="ringed">Requests that the guest completed on the ring path.</param>
    /// <param name="issued">Writes to PxCI that the hypervisor sent to VM-H.</param>
    /// <param name="seed">Of the script.</param>
    private static void AssertPath(RequestScript script, Way way, long trapped, long ringed, long issued, int seed)
    {
        var seen = $"{way}: {trapped} requests on the trap path, {ringed} on the ring, {issued} commands issued; seed {seed}";
        var valid = script.Requests.Where(static request => request.Expected != "refused").ToList();
        Assert.True(trapped + ringed == valid.Count, $"{seen}; {valid.Count} requests");
        var none = way.Mode == "emulating" ? ringed : way.Stack == "enlightened" || (way.Policy == "all" && way.Source != "tries" && way.Position != "below-port") ? trapped : 0;
        Assert.True(none == 0, seen);
        if (way.Mode == "emulating") Assert.True(issued > 0, seen);
        if (trapped == 0) Assert.True(issued == 0, seen);
        if (way.Mode == "emulating" || way.Stack == "enlightened" || way.Source == "tries") return;
        // A command that fails below the port is issued to the controller, whose error the driver then sees.
        var failing = valid.Count(static request => request.Expected == "IoError");
        if (way is { Policy: "all", Position: "below-port" }) Assert.True(trapped <= failing, $"{seen}; {failing} fail");
        if (way is { Policy: "importance", Position: not "below-port" })
        {
            var secondary = valid.Count(static request => request.Line.Split(' ')[0] is "flush" or "discard" or "zero");
            Assert.True(trapped == secondary, $"{seen}; {secondary} secondary requests");
        }
    }

    private sealed record Way(string Source, string Position, string Policy, string Mode, string Stack);
}
