using System.Globalization;
using System.Text.Json;
using VmShunt.EndToEnd.Processes;

namespace VmShunt.EndToEnd.Shunt;

public sealed class TraceTests(SharedMachine shared) : IClassFixture<SharedMachine>
{
    [Fact]
    public Task A_trace_shows_the_path_of_a_request_and_the_shunts_decision() => shared.UseAsync(async machine =>
    {
        await machine.ModeAsync("emulating");
        var trap = await machine.AskAsync("trace --stack emulating --warm 20");
        AssertTrace(trap, "emulating", "EmulatingMode", "trap", ["Entered", "Shunt", "PortDriverEm", "Described", "Issued", "Noticed", "Completed"]);
        // PxCI, and the interrupt handler's PxIS and IS.
        Assert.Equal(3, trap.GetProperty("registerAccesses").GetInt32());
        Assert.Contains("PxCI", Text(trap), StringComparison.Ordinal);

        await machine.ModeAsync("enlightened");
        var shunted = await machine.AskAsync("trace --stack emulating --warm 20");
        AssertTrace(shunted, "emulating", "Diverted", "ring", ["Entered", "Shunt", "PortDriverEn", "Described", "Issued", "Noticed", "Completed"]);
        Assert.Equal(0, shunted.GetProperty("registerAccesses").GetInt32());
        Assert.Contains("▶", Text(shunted), StringComparison.Ordinal);

        var direct = await machine.AskAsync("trace --stack enlightened --warm 20 --operation write");
        AssertTrace(direct, "enlightened", "None", "ring", ["Entered", "ReverseShunt", "PortDriverEn", "Described", "Issued", "Noticed", "Completed"]);

        await machine.AskAsync("shunt --shunt-position below-port");
        var below = await machine.AskAsync("trace --stack emulating --warm 20");
        AssertTrace(below, "emulating", "Diverted", "ring", ["Entered", "PortDriverEm", "Described", "Shunt", "Issued", "Noticed", "Completed"]);

        await machine.AskAsync("shunt --shunt-position below-class");
        await machine.ModeAsync("alternate");
        var secondary = await machine.AskAsync("trace --stack emulating --warm 20 --operation flush");
        AssertTrace(secondary, "emulating", "Secondary", "trap", ["Entered", "Shunt", "PortDriverEm", "Described", "Issued", "Noticed", "Completed"]);
    });

    [Fact]
    public Task The_tools_of_dotnet_see_each_request_and_each_change_of_mode() => shared.UseAsync(async machine =>
    {
        await machine.ModeAsync("emulating");
        var listening = EventListening.ToProvider(machine.Guest.Id, "VmShunt-Guest");

        await machine.AskAsync("flush --stack emulating");
        await machine.ModeAsync("enlightened");
        await machine.AskAsync("flush --stack emulating");
        await machine.AskAsync("flush --stack enlightened");
        listening.Dispose();

        Assert.Equal(
            [("emulating", "EmulatingMode", "Trap", "Ok"), ("emulating", "Diverted", "Ring", "Ok"), ("enlightened", "None", "Ring", "Ok")],
            Requests().Select(static r => ((string)r["stack"], (string)r["decision"], (string)r["road"], (string)r["status"])));
        Assert.All(Requests(), static r => Assert.Matches("^Entered@0.0 .*Completed@[0-9.]+$", (string)r["hops"]));
        Assert.Contains(listening.Events, static e => e.Name == "ModeChanged" && (string)e.Payload["mode"] == "enlightened");

        Dictionary<string, object>[] Requests() => [.. listening.Events.Where(static e => e.Name == "RequestCompleted").Select(static e => e.Payload)];
    });

    [Fact]
    public Task The_tools_of_dotnet_read_the_counters_and_nothing_is_allocated_for_them() => shared.UseAsync(async machine =>
    {
        await machine.ModeAsync("enlightened");
        using var listening = EventListening.ToMeter(machine.Guest.Id, "VmShunt.Guest");
        await machine.AskAsync("hash --stack emulating");

        await Until.TrueAsync(() => Last("vmshunt.guest.requests", "road=ring,stack=emulating") > 0, "shunted requests are counted");
        await Until.TrueAsync(() => Last("vmshunt.guest.shunt.requests", "decision=diverted") > 0, "the shunt's decisions are counted");
        await Until.TrueAsync(() => Last("vmshunt.guest.mode.enlightened", "") == 1, "the mode is reported");
        await Until.TrueAsync(() => Last("vmshunt.guest.registers.accesses", "") > 0, "register accesses are counted");
        Assert.Equal(0, Last("vmshunt.guest.requests.failed", "stack=emulating"));

        // A request allocates nothing while a tool reads the counters.
        var bench = await machine.BenchAsync("emulating", "randread", 4, await machine.DataAsync());
        Assert.Equal(0, bench.AllocatedBytesPerRequest);

        double Last(string instrument, string tags)
        {
            var reported = listening.Events.LastOrDefault(e =>
                e.Payload.TryGetValue("instrumentName", out var name) && (string)name == instrument
                && e.Payload.TryGetValue("tags", out var tagged) && (string)tagged == tags).Payload;
            if (reported is null) return double.NaN;
            var value = reported.TryGetValue("value", out var now) ? now : reported["lastValue"];
            return double.Parse((string)value, CultureInfo.InvariantCulture);
        }
    });

    private static string Text(JsonElement trace) => trace.GetProperty("text").GetString()!;

    private static void AssertTrace(JsonElement trace, string stack, string decision, string path, string[] hops)
    {
        Assert.Equal(
            (stack, decision, path, "Ok"),
            (trace.GetProperty("stack").GetString(), trace.GetProperty("decision").GetString(), trace.GetProperty("road").GetString(), trace.GetProperty("status").GetString()));
        Assert.Equal(hops, trace.GetProperty("hops").EnumerateArray().Select(static h => h.GetProperty("hop").GetString()));
        var times = trace.GetProperty("hops").EnumerateArray().Select(static h => h.GetProperty("microseconds").GetDouble()).ToArray();
        Assert.Equal(times.Order(), times);
        Assert.Contains("VM-H", Text(trace), StringComparison.Ordinal);
    }
}
