using VmShunt.EndToEnd.Processes;
using VmShunt.Perf.Launch;
using Xunit.Abstractions;

namespace VmShunt.EndToEnd.Disk;

/// <summary>Our driver on a disk of qemu-storage-daemon: each result and each byte is compared with a model.</summary>
public sealed class QemuStorageDaemonTests(ITestOutputHelper output) : IDisposable
{
    private const int DiskBytes = 8 << 20, Scripts = 40, RequestsEach = 100, KillEvery = 5;

    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [FactIfInstalled("qemu-storage-daemon")]
    public async Task A_request_that_is_no_whole_block_of_a_strangers_disk_is_refused_with_the_size_of_its_blocks()
    {
        string disk = _folder.RandomFile("disk.img", DiskBytes), socket = _folder["ring"], read = _folder["read"];
        await using var daemon = await BusOnlyTests.StartDaemonAsync(disk, socket, ",logical-block-size=4096");
        foreach (var (sector, count) in new[] { (1, 8), (8, 1), (8, 12) })
        {
            var refused = await Programs.RunAsync("vmshunt-guest", "--bus", socket, "--memory", "32M", "read", "--sector", $"{sector}", "--count", $"{count}", "--output", read);
            Assert.NotEqual(0, refused.ExitCode);
            Assert.Contains("the disk has logical blocks of 4096 bytes", refused.ErrorText, StringComparison.Ordinal);
        }
        var done = await Programs.RunAsync("vmshunt-guest", "--bus", socket, "--memory", "32M", "read", "--sector", "8", "--count", "16", "--output", read);
        Assert.True(done.ExitCode == 0, done.ErrorText);
        Assert.Equal(File.ReadAllBytes(disk).AsSpan(4096, 8192).ToArray(), File.ReadAllBytes(read));
    }

    [FactIfInstalled("qemu-storage-daemon")]
    public async Task A_random_load_on_qemu_storage_daemon_that_is_killed_under_it_leaves_what_the_model_says()
    {
        var seed = Random.Shared.Next();
        output.WriteLine($"seed {seed}");
        var random = new Random(seed);
        string disk = _folder.RandomFile("disk.img", DiskBytes), socket = _folder["ring"];
        var model = File.ReadAllBytes(disk);
        var daemon = await BusOnlyTests.StartDaemonAsync(disk, socket);
        try
        {
            await using var guest = await Programs.StartReadyAsync("vmshunt-guest", "--bus", socket, "--memory", "32M", "--queues", "2", "console");
            var console = new GuestConsole(guest);
            int kills = 0, requests = 0;
            for (var i = 1; i <= Scripts; i++)
            {
                var script = RequestScript.Make(model, random.Next(), RequestsEach, isReadOnly: false);
                File.WriteAllLines(_folder["script"], script.Lines);
                var replay = console.AskAsync($"replay --script {_folder["script"]} --transcript {_folder["transcript"]}", Programs.AnyAnswer, Until.Patience, default);
                if (i % KillEvery == 0)
                {
                    ProcessTable.Send(daemon.Id, ProcessTable.SIGKILL);
                    await daemon.Ended;
                    await daemon.DisposeAsync();
                    daemon = await BusOnlyTests.StartDaemonAsync(disk, socket);
                    kills++;
                }
                await replay;
                Assert.Equal(script.Expected, File.ReadAllLines(_folder["transcript"]));
                requests += script.Expected.Count;
            }
            await console.AskAsync("flush", Programs.AnyAnswer, Until.Patience, default);
            output.WriteLine($"{requests} requests, {kills} kills");
            var content = File.ReadAllBytes(disk);
            Assert.Equal(model.Length, content.Length);
            Assert.True(model.AsSpan().SequenceEqual(content), $"the image equals the model up to byte {model.AsSpan().CommonPrefixLength(content)} of {model.Length}; seed {seed}");
        }
        finally
        {
            await daemon.DisposeAsync();
        }
    }
}
