using System.Text.Json;
using VmShunt.EndToEnd.Processes;
using VmShunt.Perf.Launch;
using Xunit.Abstractions;

namespace VmShunt.EndToEnd.Shunt;

public sealed class ShuntKindTests(SharedMachine shared, OwnDisk own, ITestOutputHelper output) : IClassFixture<SharedMachine>, IClassFixture<OwnDisk>, IDisposable
{
    private const int LoadDepth = 32;

    private static readonly int s_flips = LongForm.Choose(20, 400);

    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("told", "below-class")]
    [InlineData("arrives", "below-class")]
    [InlineData("looks", "below-class")]
    [InlineData("tries", "below-class")]
    [InlineData("commanded", "below-class")]
    [InlineData("told", "above-class")]
    [InlineData("arrives", "above-class")]
    [InlineData("tries", "above-class")]
    [InlineData("told", "below-port")]
    [InlineData("arrives", "below-port")]
    [InlineData("looks", "below-port")]
    [InlineData("tries", "below-port")]
    [InlineData("commanded", "below-port")]
    public Task Mode_changes_under_load_harm_no_request_whatever_the_mode_source_and_the_position(string source, string position) => shared.UseAsync(async machine =>
    {
        var data = await machine.DataAsync();
        var before = await machine.AskAsync($"shunt --mode-source {source} --shunt-position {position}");
        await machine.AskAsync($"load start --stack emulating --depth {LoadDepth} --write --first-sector {data.First} --sectors {data.Count}");
        for (var flip = 0; flip < s_flips; flip++)
        {
            await machine.ModeAsync("enlightened");
            await machine.ModeAsync("emulating");
        }
        // Then each mode once more, long enough to see which way the shunt sends requests.
        for (var look = 0; look < 2; look++)
        {
            await machine.ModeAsync("enlightened");
            var (then, ringed) = (await machine.AskAsync("shunt"), (await machine.CompletedAsync()).Ring);
            await Until.TrueAsync(
                async () => Count("diverted", await machine.AskAsync("shunt")) > Count("diverted", then) && (await machine.CompletedAsync()).Ring > ringed,
                "in enlightened mode the shunt diverts requests to the ring");
            await machine.ModeAsync("emulating");
            // Requests that the shunt has sent before the change complete first.
            await machine.LoadGoesOnAsync(2 * LoadDepth);
            (then, var trapped) = (await machine.AskAsync("shunt"), (await machine.CompletedAsync()).Trap);
            await Until.TrueAsync(
                // A shunt that arrives with the enlightened stack is removed with it: requests then meet none.
                async () => (source == "arrives" || Count("passed", await machine.AskAsync("shunt")) > Count("passed", then)) && (await machine.CompletedAsync()).Trap > trapped,
                "in emulating mode requests pass the shunt to the trap path");
            Assert.Equal(Count("diverted", then), Count("diverted", await machine.AskAsync("shunt")));
        }
        await machine.ModeAsync("enlightened");
        await machine.LoadGoesOnAsync();
        var diverted = Count("diverted", await machine.AskAsync("shunt")) - Count("diverted", before);
        var load = await machine.AskAsync("load stop", GuestAnswersJson.Default.LoadAnswer);
        output.WriteLine($"{2 * s_flips} changes, {diverted} diverted, {load}");
        Assert.Equal((0, 0, 0, 0), (load.Failed, load.Lost, load.Repeated, load.Mismatched));
        Assert.True(diverted > 0, "requests were diverted");
        LongForm.Keep(nameof(ShuntKindTests), $"{source}, {position}: {2 * s_flips} mode changes, {load.Requests} verified requests, none lost, repeated or failed");

        // Another test may have used the same kind of shunt on this machine.
        static long Count(string counter, JsonElement shunt) => shunt.GetProperty(counter).GetInt64();
    });

    [Fact]
    public async Task A_shunt_and_VM_H_with_different_primary_request_types_do_not_connect()
    {
        await using var machine = await RunningMachine.BootAsync(own.CopyTo(_folder), hostOptions: ["--primary", "read,write"]);

        var refusal = await machine.RefusalAsync("mode enlightened");
        Assert.Contains("VM-H does not implement flush,discard,write-zeroes", refusal, StringComparison.Ordinal);
        Assert.Contains("--shunt-policy importance --primary read,write", refusal, StringComparison.Ordinal);
        Assert.Equal("emulating", (await machine.InfoAsync()).Mode);
        await machine.AskAsync("flush");

        // The options that the refusal names work.
        await machine.AskAsync("shunt --shunt-policy importance --primary read,write");
        await machine.ModeAsync("enlightened");
        var flush = await machine.AskAsync("trace --stack emulating --operation flush --warm 0");
        Assert.Equal(("Secondary", "trap"), (flush.GetProperty("decision").GetString(), flush.GetProperty("road").GetString()));
        var read = await machine.AskAsync("trace --stack emulating --warm 0");
        Assert.Equal(("Diverted", "ring"), (read.GetProperty("decision").GetString(), read.GetProperty("road").GetString()));
    }

    [Fact]
    public async Task A_request_type_that_VM_H_does_not_serve_on_the_ring_is_refused_there_and_completed_by_the_trap()
    {
        await using var machine = await RunningMachine.BootAsync(own.CopyTo(_folder), hostOptions: ["--primary", "read"]);
        await machine.AskAsync("shunt --shunt-policy importance --primary read");
        await machine.ModeAsync("enlightened");
        // The enlightened stack reaches port driver-en without a shunt.
        var data = await machine.DataAsync();
        var write = await machine.AskAsync($"trace --stack enlightened --operation write --warm 0 --sector {data.First}");
        Assert.Equal(("trap", "Ok"), (write.GetProperty("road").GetString(), write.GetProperty("status").GetString()));
        Assert.Contains(write.GetProperty("hops").EnumerateArray(), static h => h.GetProperty("hop").GetString() == "GivenBack");
    }

    [Theory]
    [InlineData("importance", "read,write")]
    [InlineData("frequency", "none")]
    [InlineData("effort", "all")]
    public Task A_policy_is_shown_and_replaced_while_requests_run(string policy, string primary) => shared.UseAsync(async machine =>
    {
        await machine.ModeAsync("enlightened");
        var shunt = await machine.AskAsync($"shunt --shunt-policy {policy}");
        Assert.Equal((policy, primary), (shunt.GetProperty("policy").GetString(), shunt.GetProperty("primary").GetString()));
        // The frequency policy has to see requests before it calls them frequent.
        await machine.BenchAsync("emulating", "randread", 8, await machine.DataAsync(), requests: 20_000);
        var bench = await machine.BenchAsync("emulating", "randread", 8, await machine.DataAsync());
        Assert.Equal(0, bench.AllocatedBytesPerRequest);
        // Reads are important, soon frequent, and of 4 KiB an effort.
        var after = await machine.AskAsync("shunt");
        Assert.True(after.GetProperty("diverted").GetInt64() > bench.Requests / 2, $"most of {bench.Requests} reads were diverted: {after}");
    });
}
