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
                        await ReplayAsync(machine, model, random.Next(), stack, isReadOnly, $"{source}, {position}, {policy}, {mode}, {stack}");
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

    private async Task ReplayAsync(RunningMachine machine, byte[] model, int seed, string stack, bool isReadOnly, string way)
    {
        var script = RequestScript.Make(model, seed, requests: 40, isReadOnly);
        File.WriteAllLines(_folder["script"], script.Lines);
        await machine.AskAsync($"replay --stack {stack} --script {_folder["script"]} --transcript {_folder["transcript"]}");
        var results = File.ReadAllLines(_folder["transcript"]);
        for (var i = 0; i < Math.Min(results.Length, script.Expected.Count); i++)
        {
            var line = script.Lines.Where(static l => l != "wait").ElementAt(i);
            Assert.True(results[i] == script.Expected[i], $"{way}: '{line}' gave '{results[i]}', the model gives '{script.Expected[i]}'; seed {seed}");
        }
        Assert.Equal(script.Expected.Count, results.Length);
    }
}
