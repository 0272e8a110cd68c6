using System.Text.Json;
using Spectre.Console;
using VmShunt.EndToEnd.Processes;
using VmShunt.Perf.Disks;
using VmShunt.Perf.Launch;

namespace VmShunt.EndToEnd.Boot;

public sealed class LaunchTests : IDisposable
{
    private static readonly Dictionary<string, string[]> s_keys = new()
    {
        ["disk"] = ["path", "bytes", "sha256"],
        ["hashes"] = ["trap", "shunted", "ring"],
        ["transition"] = ["inFlight", "completed", "failed", "maxPauseMicroseconds"],
        ["paths"] =
        [
            "path", "operation", "blockSize", "queueDepth", "requests", "iops", "megabytesPerSecond",
            "p50Microseconds", "p99Microseconds", "p999Microseconds", "maxMicroseconds",
            "trapsPerRequest", "kicksPerRequest", "callsPerRequest", "copiesPerRequest",
            "allocatedBytesPerRequest", "guestCpuMicrosecondsPerRequest", "hostCpuMicrosecondsPerRequest", "hypervisorCpuMicrosecondsPerRequest",
        ],
        ["crashDump"] = ["road", "bytes", "sha256", "memorySha256", "verified"],
        ["machine"] = ["cpu", "cores", "kernel", "runtime"],
    };

    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task A_launch_completes_every_chapter_and_leaves_no_process_and_no_file()
    {
        string json = _folder["result.json"], report = _folder["report.html"], temporary = Directory.CreateDirectory(_folder["tmp"]).FullName;
        // The launch and its processes make their files in a folder of the test.
        var ended = await Programs.RunAsync(
            "/usr/bin/env", $"TMPDIR={temporary}", Path.Combine(AppContext.BaseDirectory, "vmshunt-perf"), "launch", "--quick", "--memory", "32M", "--json", json, "--report", report);

        Assert.True(ended.ExitCode == 0, ended.ErrorText);
        using var result = JsonDocument.Parse(File.ReadAllText(json));
        var root = result.RootElement;
        Assert.Equal([.. s_keys.Keys, "date", "command", "commit", "disturbed"], root.EnumerateObject().Select(static p => p.Name));
        Assert.InRange(root.GetProperty("date").GetDateTime(), DateTime.UtcNow.AddHours(-1), DateTime.UtcNow);
        Assert.Contains("launch --quick", root.GetProperty("command").GetString(), StringComparison.Ordinal);
        Assert.True(root.GetProperty("disturbed").ValueKind is JsonValueKind.True or JsonValueKind.False);
        foreach (var (name, keys) in s_keys)
        {
            foreach (var value in root.GetProperty(name) is { ValueKind: JsonValueKind.Array } array ? [.. array.EnumerateArray()] : new[] { root.GetProperty(name) })
                Assert.Equal(keys, value.EnumerateObject().Select(static p => p.Name));
        }
        var sha256 = root.GetProperty("disk").GetProperty("sha256").GetString();
        Assert.All(root.GetProperty("hashes").EnumerateObject(), hash => Assert.Equal(sha256, hash.Value.GetString()));
        Assert.InRange(root.GetProperty("transition").GetProperty("inFlight").GetInt32(), 32, int.MaxValue);
        Assert.Equal(0, root.GetProperty("transition").GetProperty("failed").GetInt64());
        Assert.True(root.GetProperty("crashDump").GetProperty("verified").GetBoolean());
        Assert.Equal("trap", root.GetProperty("crashDump").GetProperty("road").GetString());
        Assert.Equal(["trap", "alternate", "shunted", "ring", "direct"], root.GetProperty("paths").EnumerateArray().Select(static p => p.GetProperty("path").GetString()).Distinct());
        Assert.All(root.GetProperty("paths").EnumerateArray(), static p => Assert.Equal(0, p.GetProperty("copiesPerRequest").GetDouble()));
        Assert.Contains("<svg", File.ReadAllText(report), StringComparison.Ordinal);
        Assert.Empty(Directory.EnumerateFileSystemEntries(temporary));
        Assert.Empty(ProcessTable.WithCommandLine(temporary));
    }

    [Theory]
    [InlineData(1 << 20)]
    [InlineData((1 << 20) + (512 * 3))]
    [InlineData((1 << 20) + 1)]
    [InlineData((3 << 20) - 511)]
    [InlineData(777)]
    public async Task A_users_disk_of_any_size_reads_the_same_by_every_path_and_is_unchanged(int bytes) =>
        await LaunchOnAsync(_folder.RandomFile("user.img", bytes));

    [FactIfInstalled("mkfs.ext4")]
    public async Task A_file_system_reads_the_same_by_every_path_and_is_unchanged()
    {
        var image = _folder["ext4.img"];
        using (var file = File.Create(image)) file.SetLength(16 << 20);
        Directory.CreateDirectory(_folder["files"]);
        for (var i = 0; i < 20; i++) _folder.RandomFile($"files/{i}", i * 9999, seed: i);
        var made = await Programs.RunAsync(Installed.Require("mkfs.ext4"), "-q", "-F", "-d", _folder["files"], image);
        Assert.True(made.ExitCode == 0, made.ErrorText);
        await LaunchOnAsync(image);
    }

    private async Task LaunchOnAsync(string disk)
    {
        var json = _folder["result.json"];
        var before = (await FileHash.OfAsync(disk, default), File.GetLastWriteTimeUtc(disk), new FileInfo(disk).Length);
        var output = new StringWriter();
        var console = AnsiConsole.Create(new AnsiConsoleSettings { Ansi = AnsiSupport.No, Out = new AnsiConsoleOutput(output) });
        console.Profile.Width = 1000;
        var options = new LaunchOptions { Disk = disk, JsonFile = json, Quick = true, MemoryBytes = OwnDisk.MemoryBytes, MeasureTime = TimeSpan.FromMilliseconds(15) };

        var code = await new Launcher(options, console, console, static socket => new HypervisorTrapCounter(socket), CancellationToken.None).RunAsync();

        Assert.True(code == 0, output.ToString());
        Assert.Equal(before, (await FileHash.OfAsync(disk, default), File.GetLastWriteTimeUtc(disk), new FileInfo(disk).Length));
        using var result = JsonDocument.Parse(File.ReadAllText(json));
        Assert.All(result.RootElement.GetProperty("hashes").EnumerateObject(), hash => Assert.Equal(before.Item1, hash.Value.GetString()));
        Assert.Equal(before.Item1, result.RootElement.GetProperty("disk").GetProperty("sha256").GetString());
        Assert.Equal(JsonValueKind.Null, result.RootElement.GetProperty("crashDump").GetProperty("road").ValueKind);
        Assert.Empty(ProcessTable.WithCommandLine(disk));
    }
}
