using System.Security.Cryptography;
using System.Text.Json;
using VmShunt.Guest.Firmware.Partitions;
using VmShunt.Perf.Launch;

namespace VmShunt.Tests.Perf;

public sealed class LauncherTests : IDisposable
{
    private readonly ScriptedMachine _machine = new();

    public void Dispose() => _machine.Dispose();

    [Theory]
    [InlineData(64 << 20, 16, false, "trap")]
    [InlineData(64 << 20, 15, false, "ring")]
    [InlineData(64 << 20, 1000, true, "ring")]
    [InlineData(64 << 20, 0, false, "ring")]
    public void The_path_of_a_dump_is_the_one_that_the_hypervisor_saw(long bytes, long issued, bool hasChannel, string path) =>
        Assert.Equal(path, LaunchStory.PathOfDump(bytes, issued, hasChannel));

    private string UserDisk(int bytes = 1_000_001)
    {
        var path = _machine["user.img"];
        var content = new byte[bytes];
        new Random(7).NextBytes(content);
        File.WriteAllBytes(path, content);
        return path;
    }

    private void UseVmShuntPartitions() => File.WriteAllText(_machine["partitions"], string.Join(',', new[]
    {
        (Name: "boot", Type: PartitionTypes.Boot, First: 2048, Sectors: 2048),
        (Name: "data", Type: PartitionTypes.LinuxData, First: 4096, Sectors: 2048),
        (Name: "dump", Type: PartitionTypes.Dump, First: 6144, Sectors: 2048),
    }.Select(static p => $$"""{"name":"{{p.Name}}","type":"{{p.Type}}","firstSector":{{p.First}},"sectors":{{p.Sectors}}}""")));

    private string[] Commands => File.ReadAllLines(_machine["commands"]);

    [Fact]
    public async Task A_users_disk_is_opened_read_only_and_not_written()
    {
        string disk = UserDisk(), json = _machine["result.json"];
        var before = SHA256.HashData(File.ReadAllBytes(disk));

        Assert.Equal(0, await _machine.LaunchAsync(new LaunchOptions { Disk = disk, JsonFile = json }));

        Assert.Contains("--read-only", File.ReadAllText(_machine["host.args"]), StringComparison.Ordinal);
        Assert.DoesNotContain(Commands, static c => c.Contains("write", StringComparison.Ordinal) || c.StartsWith("crash", StringComparison.Ordinal));
        Assert.Contains("hash --stack emulating --bytes 1000001", Commands);
        Assert.Equal(before, SHA256.HashData(File.ReadAllBytes(disk)));
        using JsonDocument result = JsonDocument.Parse(File.ReadAllText(json));
        Assert.Equal(Convert.ToHexStringLower(before), result.RootElement.GetProperty("hashes").GetProperty("ring").GetString());
        Assert.Equal(JsonValueKind.Null, result.RootElement.GetProperty("crashDump").GetProperty("road").ValueKind);
        Assert.Contains("which needs --allow-writes", _machine.Output.ToString(), StringComparison.Ordinal);
        Assert.True(_machine.AllEnded());
    }

    [Fact]
    public async Task A_launch_on_a_temporary_disk_succeeds_and_leaves_no_file()
    {
        UseVmShuntPartitions();
        string core = _machine["kept.core"], report = _machine["report.html"], json = _machine["result.json"];

        var code = await _machine.LaunchAsync(new LaunchOptions { DumpFile = core, ReportFile = report, JsonFile = json });

        Assert.True(code == 0, _machine.Output.ToString());
        Assert.Contains("load start --depth 64 --write --first-sector 4096 --sectors 2048", Commands);
        Assert.Contains("crash --in-flight 32 --scribble", Commands);
        Assert.Equal(File.ReadAllBytes(_machine["core"]), File.ReadAllBytes(core));
        Assert.Contains("<svg", File.ReadAllText(report), StringComparison.Ordinal);
        using JsonDocument result = JsonDocument.Parse(File.ReadAllText(json));
        Assert.True(result.RootElement.GetProperty("crashDump").GetProperty("verified").GetBoolean());
        Assert.False(Path.Exists(Path.GetDirectoryName(_machine.LaunchedDisk)), "the temporary folder of the launch exists");
        Assert.True(_machine.AllEnded());
    }

    [Fact]
    public async Task Every_path_is_measured_in_the_mode_where_it_exists()
    {
        Assert.Equal(0, await _machine.LaunchAsync(new LaunchOptions { Disk = UserDisk() }));
        var mode = "emulating";
        var measured = new HashSet<(string, string)>();
        foreach (var command in Commands)
        {
            var words = command.Split(' ');
            if (words[0] == "mode") mode = words[1];
            if (words[0] == "bench") measured.Add((mode, words[2]));
        }
        Assert.Equal(
            [("alternate", "emulating"), ("emulating", "emulating"), ("enlightened", "emulating"), ("enlightened", "enlightened")], measured.Order());
    }

    [Theory]
    [InlineData("host-fails", "vmshunt-host", "exited with code 3", "the disk is on fire")]
    [InlineData("mode-kills-host", "vmshunt-host", "exited with code 137 (signal 9)", "ready disk=x")]
    [InlineData("mode-fails", "vmshunt-guest", "no bus here", "ready mode=emulating")]
    [InlineData("load-loses", "damaged requests", "1 lost", "ready mode=emulating")]
    [InlineData("wrong-hash-in-enlightened", "wrong content on the shunted path", "0000", "ready mode=emulating")]
    public async Task A_failure_names_its_process_and_last_lines_and_leaves_no_process(string how, params string[] expected)
    {
        _machine.Misbehave(how);
        Assert.Equal(1, await _machine.LaunchAsync(new LaunchOptions { Disk = UserDisk() }));
        Assert.All(expected, text => Assert.Contains(text, _machine.Output.ToString(), StringComparison.Ordinal));
        Assert.True(_machine.AllEnded());
    }

    [Fact]
    public async Task A_dump_that_differs_from_the_memory_at_the_crash_fails_the_launch()
    {
        UseVmShuntPartitions();
        Assert.Equal(1, await _machine.LaunchAsync(new LaunchOptions(), memorySha256: new string('a', 64)));
        Assert.Contains("the dump differs from the memory at the crash", _machine.Output.ToString(), StringComparison.Ordinal);
        Assert.False(Path.Exists(Path.GetDirectoryName(_machine.LaunchedDisk)));
    }

    [Fact]
    public async Task A_stopped_launch_leaves_no_process_and_no_file()
    {
        UseVmShuntPartitions();
        using var stop = new CancellationTokenSource();
        Task<int> launch = _machine.LaunchAsync(new LaunchOptions(), cancel: stop.Token);
        while (!launch.IsCompleted && !(File.Exists(_machine["commands"]) && File.ReadAllText(_machine["commands"]).Contains("bench", StringComparison.Ordinal)))
            await Task.Delay(10);
        await stop.CancelAsync();
        Assert.Equal(1, await launch);
        Assert.Contains("Stopped", _machine.Output.ToString(), StringComparison.Ordinal);
        Assert.False(Path.Exists(Path.GetDirectoryName(_machine.LaunchedDisk)));
        Assert.True(_machine.AllEnded());
    }

    [Fact]
    public async Task A_missing_or_empty_disk_is_reported_before_a_process_starts()
    {
        Assert.Equal(1, await _machine.LaunchAsync(new LaunchOptions { Disk = _machine["none.img"] }));
        Assert.Equal(1, await _machine.LaunchAsync(new LaunchOptions { Disk = UserDisk(0) }));
        Assert.Contains("cannot be opened", _machine.Output.ToString(), StringComparison.Ordinal);
        Assert.Contains("0 bytes", _machine.Output.ToString(), StringComparison.Ordinal);
        Assert.False(File.Exists(_machine["host.pid"]));
    }
}
