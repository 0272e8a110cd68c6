using System.Text.Json;
using VmShunt.EndToEnd.Processes;
using VmShunt.Perf.Disks;
using VmShunt.Perf.Launch;
using Xunit.Abstractions;

namespace VmShunt.EndToEnd.Disk;

/// <summary>The guest without a hypervisor (<c>--bus</c>), with our back-end and with qemu-storage-daemon.</summary>
public sealed class BusOnlyTests(ITestOutputHelper output) : IDisposable
{
    private const int DiskBytes = 8 << 20;
    private const string Load = "load start --depth 64 --write";

    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private static Task<JsonElement> AskAsync(GuestConsole console, string command) => console.AskAsync(command, Programs.AnyAnswer, Until.Patience, default);

    private static async Task<string> RefusalAsync(GuestConsole console, string command) =>
        (await Assert.ThrowsAsync<LaunchException>(() => AskAsync(console, command))).Message;

    [Theory]
    [InlineData("adaptive", 1, "split")]
    [InlineData("never", 1, "split")]
    [InlineData("busy", 1, "packed")]
    [InlineData("adaptive", 2, "packed")]
    [InlineData("never", 2, "packed")]
    public async Task A_guest_with_only_the_bus_does_everything_that_a_disk_can(string poll, int queues, string ring)
    {
        string disk = _folder.RandomFile("disk.img", DiskBytes), socket = _folder["ring"];
        await using var host = await Programs.StartReadyAsync("vmshunt-host", "--disk", disk, "--vhost-user", socket, "--queues", "2", "--poll", poll);
        await UseAsync(disk, socket, "--queues", queues.ToString(), "--poll", poll, "--ring", ring);
    }

    [Theory]
    [InlineData("split", "adaptive", 1)]
    [InlineData("packed", "adaptive", 2)]
    [InlineData("packed", "busy", 1)]
    public async Task A_guest_survives_repeated_kills_of_its_back_end(string ring, string poll, int queues)
    {
        string disk = _folder.RandomFile("disk.img", DiskBytes), socket = _folder["ring"];
        await SurviveAsync(LongForm.Choose(5, 50), Load, disk, () => Programs.StartReadyAsync("vmshunt-host", "--disk", disk, "--vhost-user", socket, "--queues", "2"),
            "--bus", socket, "--ring", ring, "--poll", poll, "--queues", $"{queues}");
    }

    [Theory]
    [InlineData("split", "adaptive", 1, 1)]
    [InlineData("split", "never", 2, 6)]
    [InlineData("packed", "adaptive", 2, 6)]
    [InlineData("packed", "busy", 1, 2)]
    public async Task Polled_calls_survive_kills_of_the_back_end(string ring, string poll, int pollQueues, int depth)
    {
        string disk = _folder.RandomFile("disk.img", DiskBytes), socket = _folder["ring"];
        await SurviveAsync(LongForm.Choose(3, 50), $"load start --polled --depth {depth} --write", disk, () => Programs.StartReadyAsync("vmshunt-host", "--disk", disk, "--vhost-user", socket, "--queues", "3"),
            "--bus", socket, "--ring", ring, "--poll", poll, "--poll-queues", $"{pollQueues}");
    }

    [FactIfInstalled("qemu-storage-daemon")]
    public async Task A_guest_survives_kills_of_qemu_storage_daemon()
    {
        string disk = _folder.RandomFile("disk.img", DiskBytes), socket = _folder["ring"];
        await SurviveAsync(LongForm.Choose(5, 50), Load, disk, () => StartDaemonAsync(disk, socket), "--bus", socket, "--queues", "2");
    }

    private async Task SurviveAsync(int kills, string load, string disk, Func<Task<ChildProcess>> startAsync, params string[] options)
    {
        var host = await startAsync();
        try
        {
            await using var guest = await Programs.StartReadyAsync("vmshunt-guest", ["--memory", "32M", .. options, "console"]);
            var console = new GuestConsole(guest);
            await AskAsync(console, load);
            for (var kill = 0; kill < kills; kill++)
            {
                var before = await RingedAsync(console);
                await Until.TrueAsync(async () => await RingedAsync(console) > before + 200, $"200 more requests complete after {kill} kills");
                ProcessTable.Send(host.Id, 9);
                await host.Ended;
                await host.DisposeAsync();
                host = await startAsync();
            }
            var answer = await console.AskAsync("load stop", GuestAnswersJson.Default.LoadAnswer, Until.Patience, default);
            Assert.Equal((0, 0, 0, 0), (answer.Failed, answer.Lost, answer.Repeated, answer.Mismatched));
            Assert.Equal(answer.Requests, answer.Completed);
            Assert.Equal(await FileHash.OfAsync(disk, default), (await AskAsync(console, "hash")).GetProperty("sha256").GetString());
            var seen = $"{answer.Requests} verified requests over {kills} kills";
            output.WriteLine(seen);
            LongForm.Keep(nameof(BusOnlyTests), $"{load}, guest {string.Join(' ', options.Skip(2))}: {seen}, none lost, repeated or failed");
            Assert.Equal(kills, (await AskAsync(console, "info")).GetProperty("requests").GetProperty("reconnects").GetInt32());
        }
        finally
        {
            await host.DisposeAsync();
        }
    }

    [Fact]
    public async Task A_running_guest_sees_its_disk_grow_and_shrink()
    {
        string disk = _folder.RandomFile("disk.img", DiskBytes), socket = _folder["ring"];
        await using var host = await Programs.StartReadyAsync("vmshunt-host", "--disk", disk, "--vhost-user", socket);
        await using var guest = await Programs.StartReadyAsync("vmshunt-guest", "--bus", socket, "--memory", "32M", "console");
        var console = new GuestConsole(guest);
        foreach (var bytes in new[] { 2 * DiskBytes, DiskBytes / 2 })
        {
            using (var file = new FileStream(disk, FileMode.Open, FileAccess.Write, FileShare.ReadWrite)) file.SetLength(bytes);
            ProcessTable.Send(host.Id, Signal.HangUp);
            await Until.TrueAsync(
                async () => (await console.AskAsync("info", GuestAnswersJson.Default.GuestInfo, default, default)).Disk.Bytes == bytes, $"the guest sees {bytes} bytes");
            await AskAsync(console, $"fill --sector {bytes / 512 - 8} --count 8 --seed 4");
            Assert.Contains("not on", await RefusalAsync(console, $"fill --sector {bytes / 512} --count 8 --seed 4"), StringComparison.Ordinal);
            Assert.Equal(await FileHash.OfAsync(disk, default), (await AskAsync(console, "hash")).GetProperty("sha256").GetString());
        }
    }

    [Theory]
    [InlineData("adaptive", 2, 1)]
    [InlineData("adaptive", 2, 2)]
    [InlineData("never", 3, 1)]
    [InlineData("never", 3, 3)]
    public async Task Every_queue_gets_requests_and_a_completion_is_followed_by_the_next_request_on_its_queue(string poll, int queues, int processors)
    {
        string disk = _folder.RandomFile("disk.img", DiskBytes), socket = _folder["ring"];
        await using var host = await Programs.StartReadyAsync("vmshunt-host", "--disk", disk, "--vhost-user", socket, "--queues", $"{queues}");
        await using var guest = await Programs.StartReadyAsync(
            "vmshunt-guest", "--bus", socket, "--queues", $"{queues}", "--processors", $"{processors}", "--poll", poll, "--memory", "32M", "console");
        var console = new GuestConsole(guest);
        long[] before = await ByQueueAsync(console);
        Assert.Equal(queues, before.Length);

        // Each completion starts the next request, which stays on its queue. A request from a thread that is not a queue's
        // may complete before its continuation is registered; the thread pool then continues, and may choose another queue.
        await AskAsync(console, "bench --operation randread --depth 1 --requests 400");
        long[] requests = [.. (await ByQueueAsync(console)).Zip(before, static (now, then) => now - then)];
        Assert.Equal(400, requests.Sum());
        Assert.InRange(requests.Max(), 397, 400);

        // The load submits where requests complete, or from processors of its own.
        before = await ByQueueAsync(console);
        await AskAsync(console, $"load start --depth {8 * queues}");
        await Until.TrueAsync(async () => (await ByQueueAsync(console)).Zip(before).All(static queue => queue.First > queue.Second + 100), "each queue completes 100 more requests");
        var load = await console.AskAsync("load stop", GuestAnswersJson.Default.LoadAnswer, Until.Patience, default);
        Assert.Equal((0, 0, 0, 0), (load.Failed, load.Lost, load.Repeated, load.Mismatched));
    }

    private static async Task<long[]> ByQueueAsync(GuestConsole console) =>
        [.. (await AskAsync(console, "info")).GetProperty("requests").GetProperty("ringByQueue").EnumerateArray().Select(static queue => queue.GetInt64())];

    private static async Task<long> RingedAsync(GuestConsole console) =>
        (await AskAsync(console, "info")).GetProperty("requests").GetProperty("ring").GetInt64();

    [FactIfInstalled("qemu-storage-daemon")]
    public async Task A_guest_with_only_the_bus_works_with_qemu_storage_daemon()
    {
        string disk = _folder.RandomFile("disk.img", DiskBytes), socket = _folder["ring"];
        await using var daemon = await StartDaemonAsync(disk, socket);
        await UseAsync(disk, socket, "--queues", "2");
    }

    internal static async Task<ChildProcess> StartDaemonAsync(string disk, string socket, string more = "")
    {
        File.Delete(socket);
        var daemon = Programs.Start(
            Installed.Require("qemu-storage-daemon"),
            "--blockdev", $"driver=file,node-name=f,filename={disk},discard=unmap",
            "--blockdev", "driver=raw,node-name=r,file=f,discard=unmap",
            "--export", $"type=vhost-user-blk,id=e,node-name=r,writable=on,addr.type=unix,addr.path={socket},num-queues=2{more}");
        await Until.TrueAsync(() => UnixSocket.IsListening(socket) || daemon.Ended.IsCompleted, "qemu-storage-daemon listens");
        return daemon;
    }

    private async Task UseAsync(string disk, string socket, params string[] options)
    {
        await using var guest = await Programs.StartReadyAsync("vmshunt-guest", ["--bus", socket, "--memory", "32M", .. options, "console"]);
        var console = new GuestConsole(guest);

        var info = await console.AskAsync("info", GuestAnswersJson.Default.GuestInfo, default, default);
        Assert.Equal(("enlightened", "direct", DiskBytes), (info.Mode, info.Boot, info.Disk.Bytes));
        Assert.False(info.Disk.ReadOnly);
        Assert.Equal(await FileHash.OfAsync(disk, default), (await AskAsync(console, "hash")).GetProperty("sha256").GetString());

        var content = _folder.RandomFile("content", 300 * 512, seed: 12);
        await AskAsync(console, $"write --sector 33 --input {content}");
        await AskAsync(console, $"read --sector 33 --count 300 --output {_folder["read"]}");
        Assert.Equal(await FileHash.OfAsync(content, default), await FileHash.OfAsync(_folder["read"], default));

        await AskAsync(console, "fill --seed 3");
        await AskAsync(console, "fill --seed 3 --verify");
        await AskAsync(console, "load start --depth 64 --write");
        await Until.TrueAsync(async () => (await AskAsync(console, "info")).GetProperty("requests").GetProperty("ring").GetInt64() > 1000, "a thousand requests complete");
        var load = await console.AskAsync("load stop", GuestAnswersJson.Default.LoadAnswer, Until.Patience, default);
        Assert.Equal((0, 0, 0, 0), (load.Failed, load.Lost, load.Repeated, load.Mismatched));

        await AskAsync(console, "zero --sector 1024 --count 3000");
        await AskAsync(console, $"read --sector 1024 --count 3000 --output {_folder["zeros"]}");
        Assert.Equal(-1, File.ReadAllBytes(_folder["zeros"]).AsSpan().IndexOfAnyExcept((byte)0));
        await AskAsync(console, "discard --sector 2048 --count 2048");
        await AskAsync(console, "flush");
        Assert.Equal(await FileHash.OfAsync(disk, default), (await AskAsync(console, "hash")).GetProperty("sha256").GetString());
        Assert.Contains("--bus", await RefusalAsync(console, "hash --stack emulating"), StringComparison.Ordinal);
        Assert.Contains("its mode cannot change", await RefusalAsync(console, "mode emulating"), StringComparison.Ordinal);

        await AskAsync(console, "quit");
        var ended = await Programs.WaitForEndAsync(guest);
        Assert.Equal(0, ended.ExitCode);
        Assert.Empty(ended.Errors);
    }
}
