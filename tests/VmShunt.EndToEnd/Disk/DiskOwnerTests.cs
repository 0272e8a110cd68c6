using System.Text.Json;
using VmShunt.EndToEnd.Processes;
using VmShunt.Perf.Disks;
using VmShunt.Perf.Launch;

namespace VmShunt.EndToEnd.Disk;

/// <summary>VM-H as the owner of a disk: cache modes, changes of size, other processes that use the image, and a full file system.</summary>
public sealed class DiskOwnerTests : IDisposable
{
    private const int DiskBytes = 8 << 20;

    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private static Task<JsonElement> AskAsync(GuestConsole console, string command) => console.AskAsync(command, Programs.AnyAnswer, Until.Patience, default);

    private static async Task<string> RefusalAsync(GuestConsole console, string command) =>
        (await Assert.ThrowsAsync<LaunchException>(() => AskAsync(console, command))).Message;

    private static Task<ChildProcess> StartHostAsync(string disk, params string[] arguments) => Programs.StartReadyAsync("vmshunt-host", ["--disk", disk, .. arguments]);

    private Task<ChildProcess> StartGuestAsync() => Programs.StartReadyAsync("vmshunt-guest", "--bus", _folder["ring"], "--memory", "32M", "console");

    private static Task LogsAsync(ChildProcess host, string text, int times = 1) =>
        Until.TrueAsync(() => host.LastErrors.Count(line => line.Contains(text, StringComparison.Ordinal)) >= times, $"{host.Name} logs '{text}'");

    [Theory]
    [InlineData("writeback", 0)]
    [InlineData("writethrough", 0)]
    [InlineData("direct", 0)]
    [InlineData("direct", 300)]
    public async Task Every_cache_mode_serves_both_paths_alike(string cache, int more)
    {
        var disk = _folder.RandomFile("disk.img", DiskBytes + more);
        await using var host = await StartHostAsync(disk, "--cache", cache, "--vhost-user", _folder["ring"], "--vfio-user", _folder["trap"]);
        await using var hypervisor = await Programs.StartReadyAsync(
            "vmshunt-hypervisor", "--socket", _folder["hypervisor"], "--device", $"disk0,vhost-user={_folder["ring"]},vfio-user={_folder["trap"]}");
        await using var guest = await Programs.StartReadyAsync("vmshunt-guest", "--hypervisor", _folder["hypervisor"], "--memory", "32M", "--mode", "emulating", "console");
        var console = new GuestConsole(guest);
        var sectors = (DiskBytes + more + 511) / 512;
        foreach (var (mode, seed) in new[] { ("emulating", 1), ("enlightened", 2), ("alternate", 3) })
        {
            await AskAsync(console, $"mode {mode}");
            await AskAsync(console, $"fill --seed {seed} --sector 3 --count {sectors - 3}");
            await AskAsync(console, "flush");
            foreach (var other in new[] { "emulating", "enlightened" })
            {
                await AskAsync(console, $"mode {other}");
                await AskAsync(console, $"fill --seed {seed} --verify --sector 3 --count {sectors - 3}");
            }
            Assert.Equal(await FileHash.OfAsync(disk, default), (await AskAsync(console, "hash")).GetProperty("sha256").GetString());
        }
        await AskAsync(console, "mode enlightened");
        await AskAsync(console, "load start --depth 32 --write");
        await Until.TrueAsync(async () => (await AskAsync(console, "info")).GetProperty("requests").GetProperty("ring").GetInt64() > 2000, "two thousand requests complete");
        var load = await console.AskAsync("load stop", GuestAnswersJson.Default.LoadAnswer, Until.Patience, default);
        Assert.Equal((0, 0, 0, 0), (load.Failed, load.Lost, load.Repeated, load.Mismatched));
        Assert.DoesNotContain(host.LastErrors, line => line.Contains("fail:", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_guest_with_only_the_trap_path_sees_a_new_capacity_when_it_identifies_the_disk()
    {
        var disk = _folder.RandomFile("disk.img", DiskBytes);
        await using var host = await StartHostAsync(disk, "--vfio-user", _folder["trap"]);
        await using var hypervisor = await Programs.StartReadyAsync("vmshunt-hypervisor", "--socket", _folder["hypervisor"], "--device", $"disk0,vfio-user={_folder["trap"]}");
        foreach (var bytes in new[] { DiskBytes, 2 * DiskBytes, DiskBytes / 2 })
        {
            Resize(disk, bytes);
            ProcessTable.Send(host.Id, Signal.HangUp);
            if (bytes != DiskBytes) await LogsAsync(host, $"to {bytes / 512} sectors");
            var info = await Programs.RunAsync("vmshunt-guest", "--hypervisor", _folder["hypervisor"], "--mode", "emulating", "info", "--json");
            Assert.True(info.ExitCode == 0, info.ErrorText);
            Assert.Contains($"\"bytes\":{bytes},", string.Concat(info.Output), StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("writeback")]
    [InlineData("direct")]
    public async Task A_file_truncated_under_a_guest_fails_only_requests_beyond_its_end(string cache)
    {
        var disk = _folder.RandomFile("disk.img", DiskBytes);
        await using var host = await StartHostAsync(disk, "--cache", cache, "--vhost-user", _folder["ring"]);
        await using var guest = await StartGuestAsync();
        var console = new GuestConsole(guest);
        Resize(disk, DiskBytes / 2);
        // VM-H has not been notified, so the guest still sees the old capacity.
        for (var i = 0; i < 3; i++) Assert.Contains("IoError", await RefusalAsync(console, $"read --sector {DiskBytes / 512 - 8} --count 8 --output {_folder["out"]}"), StringComparison.Ordinal);
        await AskAsync(console, $"read --sector {DiskBytes / 1024 - 8} --count 8 --output {_folder["out"]}");
        await LogsAsync(host, $"returned 0: the file was truncated; its size was {DiskBytes} bytes");
        ProcessTable.Send(host.Id, Signal.HangUp);
        await LogsAsync(host, $"to {DiskBytes / 1024} sectors");
        await AskAsync(console, $"fill --sector {DiskBytes / 1024 - 8} --count 8 --seed 4");
        Assert.Equal(DiskBytes / 2, new FileInfo(disk).Length);
    }

    [FactIfInstalled("qemu-storage-daemon")]
    public async Task Qemu_and_VM_H_do_not_write_one_image()
    {
        string disk = _folder.RandomFile("disk.img", DiskBytes), daemon = Installed.Require("qemu-storage-daemon");
        string[] serve =
        [
            "--blockdev", $"driver=file,node-name=f,filename={disk},locking=on", "--blockdev", "driver=raw,node-name=r,file=f",
            "--export", $"type=vhost-user-blk,id=e,node-name=r,writable=on,addr.type=unix,addr.path={_folder["qemu"]}",
        ];
        await using (await StartHostAsync(disk, "--vhost-user", _folder["ring"]))
        {
            var refused = await Programs.RunAsync(daemon, serve);
            Assert.NotEqual(0, refused.ExitCode);
            Assert.Contains("Failed to get", refused.ErrorText, StringComparison.Ordinal);
        }
        await using var running = Programs.Start(daemon, serve);
        await Until.TrueAsync(() => UnixSocket.IsListening(_folder["qemu"]) || running.Ended.IsCompleted, "qemu-storage-daemon listens");
        foreach (var readOnly in new[] { "--read-only", "--queues=1" })
        {
            var second = await Programs.RunAsync("vmshunt-host", "--disk", disk, "--vhost-user", _folder["ring"], readOnly);
            Assert.Equal(1, second.ExitCode);
            Assert.Contains($"by process {running.Id} (qemu-storage-daemon)", second.ErrorText, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("--disk /sys/kernel/uevent_seqnum --read-only --cache direct", "refuses direct I/O")]
    [InlineData("--disk memory:1M --cache direct", "--cache direct bypasses the page cache")]
    [InlineData("--disk memory:1M --cache never", "never")]
    [InlineData("--disk memory:1M --on-full explode", "explode")]
    public async Task Options_that_cannot_be_met_are_refused_with_one_line(string options, string said)
    {
        var ended = await Programs.RunAsync("vmshunt-host", ["--vhost-user", _folder["ring"], .. options.Split(' ')]);
        Assert.Equal(1, ended.ExitCode);
        Assert.Contains(said, Assert.Single(ended.Errors), StringComparison.Ordinal);
    }

    [FactIfMountsAreAllowed]
    public async Task On_a_full_file_system_writes_fail_until_there_is_space()
    {
        var mounted = Directory.CreateDirectory(_folder["mounted"]).FullName;
        await using var host = await SmallFileSystem.StartHostAsync(mounted, 20, taken: 12, 16 << 20, "--vhost-user", _folder["ring"]);
        await using var guest = await StartGuestAsync();
        var console = new GuestConsole(guest);
        Assert.Contains("IoError", await RefusalAsync(console, "fill --seed 1"), StringComparison.Ordinal);
        await LogsAsync(host, "No space left on device");
        await AskAsync(console, "fill --seed 2 --count 8192");
        SmallFileSystem.MakeRoom(host, mounted);
        await AskAsync(console, "fill --seed 3");
        await AskAsync(console, "fill --seed 3 --verify");
        // A discard frees space too.
        await AskAsync(console, "discard --sector 0 --count 32768");
        Assert.InRange(await AllocatedKilobytesAsync(host, mounted), 0, 64);
    }

    [FactIfMountsAreAllowed]
    public async Task On_a_full_file_system_writes_can_wait_for_space()
    {
        var mounted = Directory.CreateDirectory(_folder["mounted"]).FullName;
        await using var host = await SmallFileSystem.StartHostAsync(mounted, 20, taken: 12, 16 << 20, "--vhost-user", _folder["ring"], "--on-full", "wait");
        await using var guest = await StartGuestAsync();
        var console = new GuestConsole(guest);
        var fill = AskAsync(console, "fill --seed 3");
        await LogsAsync(host, "is full: writes wait for free space");
        Assert.False(fill.IsCompleted);
        SmallFileSystem.MakeRoom(host, mounted);
        await fill;
        await AskAsync(console, "fill --seed 3 --verify");
        await LogsAsync(host, "has free space again");
        Assert.DoesNotContain(host.LastErrors, line => line.Contains("fail:", StringComparison.Ordinal));
    }

    [FactIfMountsAreAllowed]
    public async Task VM_H_exits_on_SIGTERM_while_writes_wait_for_space()
    {
        var mounted = Directory.CreateDirectory(_folder["mounted"]).FullName;
        await using var host = await SmallFileSystem.StartHostAsync(mounted, 20, taken: 12, 16 << 20, "--vhost-user", _folder["ring"], "--on-full", "wait");
        await using var guest = await StartGuestAsync();
        var console = new GuestConsole(guest);
        var fill = AskAsync(console, "fill --seed 3");
        await LogsAsync(host, "is full: writes wait for free space");
        ProcessTable.Send(host.Id, Signal.Terminate);
        var ended = await Programs.WaitForEndAsync(host);
        Assert.Equal(0, ended.ExitCode);
        Assert.Contains(ended.Errors, line => line.Contains("the last write that waited for free space was cancelled or failed", StringComparison.Ordinal));
        // The guest sees no failure: it waits until its disk is served again.
        Assert.False(fill.IsCompleted);
    }

    private static async Task<long> AllocatedKilobytesAsync(ChildProcess host, string mounted)
    {
        var du = await Programs.RunAsync(Installed.Require("du"), "-k", $"/proc/{host.Id}/root{mounted}/disk.img");
        return long.Parse(Assert.Single(du.Output).Split('\t')[0], System.Globalization.CultureInfo.InvariantCulture);
    }

    private static void Resize(string disk, long bytes)
    {
        using var file = new FileStream(disk, FileMode.Open, FileAccess.Write, FileShare.ReadWrite);
        file.SetLength(bytes);
    }
}
