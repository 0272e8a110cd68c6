using VmShunt.EndToEnd.Processes;
using VmShunt.Perf.Disks;
using VmShunt.Perf.Launch;
using Xunit.Abstractions;

namespace VmShunt.EndToEnd.Disk;

/// <summary>The guest sees the same disk with every I/O engine of VM-H.</summary>
public sealed class EngineTests(OwnDisk own, ITestOutputHelper output) : IClassFixture<OwnDisk>, IDisposable
{
    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("pread", "writeback")]
    [InlineData("mmap", "writeback")]
    [InlineData("mmap", "writethrough")]
    [InlineData("uring", "writeback")]
    [InlineData("uring", "writethrough")]
    [InlineData("uring", "direct")]
    [InlineData("pread", "direct")]
    public async Task Every_engine_gives_the_guest_the_same_disk_under_load_and_allocates_nothing(string engine, string cache)
    {
        var seed = Random.Shared.Next();
        output.WriteLine($"seed {seed}");
        var disk = own.CopyTo(_folder);
        var model = File.ReadAllBytes(disk);
        await using var machine = await RunningMachine.BootAsync(disk, hostOptions: ["--engine", engine, "--cache", cache]);
        await machine.ModeAsync("enlightened");
        var script = RequestScript.Make(model, seed, requests: 300, isReadOnly: false);
        File.WriteAllLines(_folder["script"], script.Lines);
        await machine.AskAsync($"replay --stack enlightened --script {_folder["script"]} --transcript {_folder["transcript"]}");
        Assert.Equal(script.Expected, File.ReadAllLines(_folder["transcript"]));

        var data = await machine.DataAsync();
        await machine.AskAsync($"load start --stack enlightened --depth 128 --write --first-sector {data.First} --sectors {data.Count}");
        await machine.LoadGoesOnAsync();
        for (var i = 0; i < 4; i++) await machine.ModeAsync(i % 2 == 0 ? "emulating" : "enlightened");
        await machine.LoadGoesOnAsync();
        var load = await machine.AskAsync("load stop", GuestAnswersJson.Default.LoadAnswer);
        Assert.Equal((0, 0, 0, 0), (load.Failed, load.Lost, load.Repeated, load.Mismatched));
        var bench = await machine.BenchAsync("enlightened", "randread", 32, data);
        Assert.Equal(0, bench.AllocatedBytesPerRequest);
        await machine.AskAsync("flush");
        var hash = await machine.AskAsync("hash", GuestAnswersJson.Default.HashAnswer);
        Assert.Equal(await FileHash.OfAsync(disk, default), hash.Sha256);
    }

    [Fact]
    public async Task A_file_truncated_under_its_mapping_fails_only_requests_beyond_its_end()
    {
        var disk = own.CopyTo(_folder);
        await using var machine = await RunningMachine.BootAsync(disk, hostOptions: ["--engine", "mmap"]);
        var data = await machine.DataAsync();
        await machine.ModeAsync("enlightened");
        await machine.AskAsync("hash");
        using (var file = new FileStream(disk, FileMode.Open, FileAccess.Write, FileShare.ReadWrite)) file.SetLength((data.First + 16) * 512);
        Assert.Contains("IoError", await machine.RefusalAsync($"read --sector {data.First + 4096} --count 8 --output {_folder["read"]}"), StringComparison.Ordinal);
        await machine.AskAsync($"read --sector {data.First} --count 8 --output {_folder["read"]}");
        Assert.False(machine.Host.Ended.IsCompleted, "VM-H still runs");
    }
}
