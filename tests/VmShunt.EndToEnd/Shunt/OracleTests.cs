using VmShunt.EndToEnd.Processes;
using Xunit.Abstractions;

namespace VmShunt.EndToEnd.Shunt;

/// <summary>One stream of requests, every way there is to do it, and always the same results, errors and content.</summary>
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
        var ways = 0;
        var diverted = 0L;
        foreach (var source in s_sources)
        {
            foreach (var position in s_positions)
            {
                foreach (var policy in s_policies)
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
        Assert.Equal(s_sources.Length * s_positions.Length * s_policies.Length * 4, ways);
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
            Assert.True(results[i] == script.Expected[i], $"{way}: '{line}' came to '{results[i]}', and by the model to '{script.Expected[i]}'; seed {seed}");
        }
        Assert.Equal(script.Expected.Count, results.Length);
    }
}
