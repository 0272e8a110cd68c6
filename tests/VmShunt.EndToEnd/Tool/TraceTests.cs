using System.Text.Json;
using VmShunt.EndToEnd.Processes;

namespace VmShunt.EndToEnd.Tool;

/// <summary><c>trace</c> of the tool and of perf: three processes, one drawing per path, nothing left behind.</summary>
public sealed class TraceTests : IDisposable
{
    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task Each_path_is_drawn_with_its_hops_on_a_disk_of_its_own()
    {
        var temporary = Directory.CreateDirectory(_folder["tmp"]).FullName;
        var json = _folder["trace.json"];
        var ended = await Programs.WaitForEndAsync(Programs.StartWith($"TMPDIR={temporary}", "vmshunt", "trace", "--json", json));

        Assert.True(ended.ExitCode == 0, ended.ErrorText);
        var text = string.Join('\n', ended.Output);
        string[] sections = text.Split("the request with the median duration");
        Assert.Equal(4, sections.Length);
        Assert.EndsWith("trap: ", sections[0], StringComparison.Ordinal);
        Assert.Contains("┃ hypervisor ", sections[1], StringComparison.Ordinal);
        Assert.Contains("write PxCI: an exit of", sections[1], StringComparison.Ordinal);
        Assert.DoesNotContain("enlightened stack\n", sections[1], StringComparison.Ordinal);
        Assert.EndsWith("shunted: ", sections[1], StringComparison.Ordinal);
        Assert.Contains("the shunt diverts it", sections[2], StringComparison.Ordinal);
        Assert.Contains("▶", sections[2], StringComparison.Ordinal);
        Assert.EndsWith("ring: ", sections[2], StringComparison.Ordinal);
        Assert.Contains("the application submits it to the enlightened stack's class driver", sections[3], StringComparison.Ordinal);
        Assert.Contains("took µs", sections[3], StringComparison.Ordinal);

        using var result = JsonDocument.Parse(File.ReadAllText(json));
        Assert.Equal(["date", "commit", "command", "machine", "traces"], result.RootElement.EnumerateObject().Select(static key => key.Name));
        Assert.Equal("vmshunt trace --operation read --path trap shunted ring", result.RootElement.GetProperty("command").GetString());
        var traces = result.RootElement.GetProperty("traces").EnumerateArray().ToList();
        Assert.Equal(["trap", "shunted", "ring"], traces.Select(static trace => trace.GetProperty("path").GetString()));
        Assert.Equal(["emulating", "enlightened", "enlightened"], traces.Select(static trace => trace.GetProperty("mode").GetString()));
        Assert.Equal(["emulating", "emulating", "enlightened"], traces.Select(static trace => trace.GetProperty("stack").GetString()));
        Assert.Equal(["EmulatingMode", "Diverted", "None"], traces.Select(static trace => trace.GetProperty("decision").GetString()));
        Assert.InRange(traces[0].GetProperty("registerAccesses").GetInt32(), 1, 20);
        Assert.All(traces[1..], static trace => Assert.Equal(0, trace.GetProperty("registerAccesses").GetInt32()));
        foreach (var trace in traces)
        {
            var hops = trace.GetProperty("hops").EnumerateArray().ToList();
            Assert.Equal("Entered", hops[0].GetProperty("hop").GetString());
            Assert.Equal("Completed", hops[^1].GetProperty("hop").GetString());
            var times = hops.Select(static hop => hop.GetProperty("microseconds").GetDouble()).ToList();
            Assert.Equal(times.Order(), times);
            Assert.Equal(trace.GetProperty("microseconds").GetDouble(), times[^1]);
        }
        Assert.Empty(Directory.EnumerateFileSystemEntries(temporary));
        Assert.Empty(ProcessTable.WithCommandLine(temporary));
    }

    [Theory]
    [InlineData("read")]
    [InlineData("flush")]
    public async Task A_users_disk_is_traced_read_only_and_is_unchanged(string operation)
    {
        var disk = _folder.RandomFile("user.img", 1 << 20);
        var before = File.ReadAllBytes(disk);
        var ended = await Programs.RunAsync("vmshunt-perf", "trace", "--disk", disk, "--operation", operation, "--path", "alternate");

        Assert.True(ended.ExitCode == 0, ended.ErrorText);
        Assert.Contains(ended.Output, static line => line.Contains("alternate: the request", StringComparison.Ordinal));
        Assert.Contains(ended.Output, static line => line.Contains("shunt's end of the bus", StringComparison.Ordinal));
        Assert.Contains(ended.Output, line => line.StartsWith(operation, StringComparison.OrdinalIgnoreCase) && line.Contains("at sector 0, Ok", StringComparison.Ordinal));
        Assert.DoesNotContain(ended.Output, static line => line.Contains("ring: the request", StringComparison.Ordinal));
        Assert.Equal(before, File.ReadAllBytes(disk));
    }

    [Fact]
    public async Task A_write_needs_leave_and_writes_what_the_disk_has_already()
    {
        var disk = _folder.RandomFile("user.img", 1 << 20);
        var before = File.ReadAllBytes(disk);
        var refused = await Programs.RunAsync("vmshunt", "trace", "--disk", disk, "--operation", "write");
        Assert.Equal((1, "vmshunt: --operation write on --disk needs --allow-writes; see vmshunt --help"), (refused.ExitCode, refused.ErrorText));

        var ended = await Programs.RunAsync("vmshunt", "trace", "--disk", disk, "--allow-writes", "--operation", "write", "--path", "ring", "trap");
        Assert.True(ended.ExitCode == 0, ended.ErrorText);
        Assert.Equal(2, ended.Output.Count(static line => line.StartsWith("Write of 4,096 bytes", StringComparison.Ordinal)));
        Assert.Equal(before, File.ReadAllBytes(disk));
    }
}
