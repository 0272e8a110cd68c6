using VmShunt.EndToEnd.Processes;
using VmShunt.Perf.Launch;
using VmShunt.Ring.Interop;
using VmShunt.Ring.VhostUser;
using VmShunt.Ring.VirtioBlk;

namespace VmShunt.EndToEnd.Disk;

/// <summary>
/// SIGBUS in VM-H, also in one whose runtime handles none, as in the native binary: it fails a guarded copy, ends the session of
/// a front-end that truncated its memory, and otherwise ends the process as the default action does.
/// </summary>
public sealed class BusSignalTests : IDisposable
{
    private const int DiskBytes = 8 << 20, SIGBUS = 7;

    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task A_file_truncated_under_its_mapping_fails_only_requests_beyond_its_end()
    {
        string disk = _folder.RandomFile("disk.img", DiskBytes), socket = _folder["ring"];
        await using var host = await StartAsync("--disk", disk, "--engine", "mmap", "--vhost-user", socket);
        await Until.TrueAsync(() => host.LastErrors.Any(static line => line.Contains("engine mmap, guarded copy", StringComparison.Ordinal)), "VM-H logs its engine");
        await using var guest = await Programs.StartReadyAsync("vmshunt-guest", "--bus", socket, "--memory", "32M", "console");
        var console = new GuestConsole(guest);
        await console.AskAsync("hash", Programs.AnyAnswer, Until.Patience, default);
        using (var file = new FileStream(disk, FileMode.Open, FileAccess.Write, FileShare.ReadWrite)) file.SetLength(DiskBytes / 2);
        var refused = await Assert.ThrowsAsync<LaunchException>(() => console.AskAsync(
            $"read --sector {DiskBytes / 512 - 8} --count 8 --output {_folder["read"]}", Programs.AnyAnswer, Until.Patience, default));
        Assert.Contains("IoError", refused.Message, StringComparison.Ordinal);
        await console.AskAsync($"read --sector 0 --count 8 --output {_folder["read"]}", Programs.AnyAnswer, Until.Patience, default);
        Assert.False(host.Ended.IsCompleted, "VM-H still runs");
    }

    [Fact]
    public async Task A_signal_that_another_process_sends_ends_VM_H()
    {
        await using var host = await StartAsync("--disk", "memory:1M", "--vhost-user", _folder["ring"]);
        ProcessTable.Send(host.Id, SIGBUS);
        Assert.Equal(128 + SIGBUS, (await Programs.WaitForEndAsync(host)).ExitCode);
    }

    [Theory]
    [InlineData("native or JIT", false)]
    [InlineData("no handler before", true)]
    public async Task A_front_end_that_truncates_its_memory_loses_its_own_session_alone(string runtime, bool hasNoHandler)
    {
        const ulong start = 0x4000_0000, bytes = 1 << 20;
        string socket = _folder["ring"], trap = _folder["trap"];
        string[] arguments = ["--disk", "memory:1M", "--vhost-user", socket, "--vfio-user", trap, "--poll", "busy"];
        await using var host = hasNoHandler ? await StartAsync(arguments) : await Programs.StartReadyAsync("vmshunt-host", arguments);
        await using var other = await Programs.StartReadyAsync("vmshunt-guest", "--bus", socket, "--memory", "32M", "console");
        var console = new GuestConsole(other);
        await console.AskAsync("load start --depth 32 --write", Programs.AnyAnswer, Until.Patience, default);
        for (var round = 1; round <= 3; round++)
        {
            using var memory = File.OpenHandle(_folder["memory"], FileMode.Create, FileAccess.ReadWrite);
            RandomAccess.SetLength(memory, (long)bytes);
            using var connection = UnixConnection.Connect(socket);
            using var frontend = VhostUserFrontend.Open(connection, (ulong)VirtioBlkFeatures.Version1, 0);
            frontend.ShareMemory([(start, bytes, 0)], memory);
            using EventFd kick = EventFd.Create(), call = EventFd.Create();
            frontend.StartRing(0, 16, 0, start, start + 0x1000, start + 0x2000, kick, call);
            RandomAccess.SetLength(memory, 0);
            kick.Signal();
            var lines = round;
            await Until.TrueAsync(() => host.LastErrors.Count(static line => line.Contains("(it has truncated memory that it shares)", StringComparison.Ordinal)) == lines, $"VM-H ends the session ({runtime})");
        }
        var load = await console.AskAsync("load stop", GuestAnswersJson.Default.LoadAnswer, Until.Patience, default);
        Assert.Equal((0, 0, 0, 0), (load.Failed, load.Lost, load.Repeated, load.Mismatched));
        Assert.False(host.Ended.IsCompleted, "VM-H still runs");
    }

    private static Task<ChildProcess> StartAsync(params string[] arguments) =>
        Programs.ReadyAsync(Programs.StartWith(StartupHook.Variable, "vmshunt-host", arguments));
}
