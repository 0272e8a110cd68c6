using System.Text.Json;
using VmShunt.EndToEnd.Processes;
using VmShunt.Perf.Disks;
using VmShunt.Perf.Launch;
using Xunit.Abstractions;

namespace VmShunt.EndToEnd.Disk;

/// <summary>Polled calls (<c>--poll-queues</c>) between processes: one thread per request in flight.</summary>
public sealed class PolledCallProcessTests(OwnDisk own, ITestOutputHelper output) : IClassFixture<OwnDisk>, IDisposable
{
    private const int DiskBytes = 8 << 20, Rounds = 3;

    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("split", "adaptive", 1, 1, 3, 1)]
    [InlineData("packed", "never", 2, 4, 3, 2)]
    [InlineData("packed", "adaptive", 2, 8, 2, 1)]
    [InlineData("split", "adaptive", 1, 4, 1, 0)]
    public async Task A_verified_load_of_polled_calls_succeeds_with_any_number_of_queues(string ring, string poll, int pollQueues, int depth, int offered, int got)
    {
        string disk = _folder.RandomFile("disk.img", DiskBytes), socket = _folder["ring"];
        await using var host = await Programs.StartReadyAsync("vmshunt-host", "--disk", disk, "--vhost-user", socket, "--queues", $"{offered}", "--poll", poll);
        await using var guest = await StartAsync(socket, "--ring", ring, "--poll", poll, "--poll-queues", $"{pollQueues}");
        var console = new GuestConsole(guest);
        Assert.Equal(got, (await AskAsync(console, "info")).GetProperty("pollQueues").GetInt32());
        await LoadAsync(console, disk, depth, static () => Task.CompletedTask);
        await AskAsync(console, "quit");
        var ended = await Programs.WaitForEndAsync(guest);
        Assert.Equal(0, ended.ExitCode);
        Assert.Empty(ended.Errors);
    }

    [FactIfInstalled("qemu-storage-daemon")]
    public async Task Polled_calls_work_with_qemu_storage_daemon()
    {
        string disk = _folder.RandomFile("disk.img", DiskBytes), socket = _folder["ring"];
        await using var daemon = await BusOnlyTests.StartDaemonAsync(disk, socket);
        await using var guest = await StartAsync(socket, "--poll-queues", "1");
        var console = new GuestConsole(guest);
        Assert.Equal(1, (await AskAsync(console, "info")).GetProperty("pollQueues").GetInt32());
        await LoadAsync(console, disk, 2, static () => Task.CompletedTask);
    }

    [Fact]
    public async Task Polled_calls_to_a_disk_that_hangs_sleep_and_complete_when_it_resumes()
    {
        string disk = _folder.RandomFile("disk.img", DiskBytes), socket = _folder["ring"];
        await using var host = await Programs.StartReadyAsync("vmshunt-host", "--disk", disk, "--vhost-user", socket, "--queues", "3");
        await using var guest = await StartAsync(socket, "--poll-queues", "2");
        var console = new GuestConsole(guest);
        await LoadAsync(console, disk, 4, async () =>
        {
            ProcessTable.Send(host.Id, ProcessTable.SIGSTOP);
            try
            {
                await Until.TrueAsync(() => ProcessTable.IsAsleep(guest.Id), "every thread of the guest is asleep");
            }
            finally
            {
                ProcessTable.Send(host.Id, ProcessTable.SIGCONT);
            }
        });
    }

    [Theory]
    [InlineData("emulating")]
    [InlineData("enlightened")]
    public async Task The_mode_and_the_bus_change_under_polled_calls(string stack)
    {
        var disk = own.CopyTo(_folder);
        await using var machine = await RunningMachine.BootAsync(disk, hostOptions: ["--queues", "3"], guestOptions: ["--poll-queues", "2"]);
        await machine.ModeAsync("enlightened");
        Assert.Equal(2, (await machine.AskAsync("info")).GetProperty("pollQueues").GetInt32());
        await StartLoadAsync(machine, $"--stack {stack} --depth 6");
        for (var round = 0; round < Rounds; round++)
        {
            foreach (var mode in stack == "emulating" ? new[] { "emulating", "alternate", "enlightened" } : ["emulating", "enlightened"])
            {
                await machine.ModeAsync(mode);
                await machine.LoadGoesOnAsync(100);
            }
            ProcessTable.Send(machine.Host.Id, ProcessTable.SIGUSR1);
            await Until.TrueAsync(async () => (await machine.InfoAsync()).Mode == "emulating", "the bus is rescinded");
            await machine.LoadGoesOnAsync(100);
            ProcessTable.Send(machine.Host.Id, ProcessTable.SIGUSR2);
            await Until.TrueAsync(async () => (await machine.InfoAsync()).Mode == "enlightened", "the bus is used again");
            await machine.LoadGoesOnAsync(100);
        }
        AssertRight(await machine.AskAsync("load stop", GuestAnswersJson.Default.LoadAnswer));
        var hash = await machine.AskAsync("hash --stack enlightened", GuestAnswersJson.Default.HashAnswer);
        Assert.Equal(await FileHash.OfAsync(disk, default), hash.Sha256);
    }

    [Theory]
    [InlineData("enlightened", "adaptive")]
    [InlineData("enlightened", "never")]
    [InlineData("alternate", "busy")]
    [InlineData("emulating", "adaptive")]
    public async Task A_crash_with_polled_calls_in_flight_leaves_a_correct_dump(string mode, string poll)
    {
        const int depth = 12, inFlight = 4;
        await using var machine = await RunningMachine.BootAsync(
            own.CopyTo(_folder), hostOptions: ["--queues", "3"], guestOptions: ["--poll-queues", "2", "--poll", poll]);
        await machine.ModeAsync(mode);
        await StartLoadAsync(machine, $"--depth {depth}");
        await machine.LoadGoesOnAsync();
        var crash = await machine.AskAsync($"crash --in-flight {inFlight} --scribble", GuestAnswersJson.Default.CrashAnswer);
        await machine.GuestEndsAsync();
        Assert.InRange(crash.InFlight, inFlight, depth);
        Assert.Equal("trap", crash.Dump.Path);
        var record = machine.Statistics().Crash!;

        await machine.StartGuestAsync();
        var core = _folder["core"];
        var dump = await machine.AskAsync($"dump export {core}", GuestAnswersJson.Default.DumpAnswer);
        Assert.True(dump.Valid);
        Assert.Equal(await FileHash.OfAsync(core, default), dump.Sha256);
        Assert.Equal(record.MemorySha256, dump.MemorySha256);
        Assert.Equal(record.MemorySha256, CoreFile.HashMemory(core));
    }

    [Fact]
    public async Task A_measurement_of_polled_calls_has_one_thread_per_request()
    {
        var socket = _folder["ring"];
        await using var host = await Programs.StartReadyAsync("vmshunt-host", "--disk", $"memory:{DiskBytes}", "--vhost-user", socket, "--queues", "3");
        await using var guest = await StartAsync(socket, "--poll-queues", "2");
        var console = new GuestConsole(guest);
        foreach (var operation in new[] { "randread", "write" })
        {
            foreach (var depth in new[] { 1, 3 })
            {
                var command = $"bench --polled --operation {operation} --depth {depth} --requests 5000";
                // What the runtime allocates when code first runs belongs to no request.
                _ = await AskAsync(console, command);
                var answer = await AskAsync(console, command);
                Assert.Equal(5000, answer.GetProperty("requests").GetInt64());
                Assert.Equal(0, answer.GetProperty("allocatedBytesPerRequest").GetDouble());
            }
        }
    }

    private static Task<ChildProcess> StartAsync(string socket, params IEnumerable<string> options) =>
        Programs.StartReadyAsync("vmshunt-guest", ["--bus", socket, "--memory", "32M", .. options, "console"]);

    private static Task<JsonElement> AskAsync(GuestConsole console, string command) => console.AskAsync(command, Programs.AnyAnswer, Until.Patience, default);

    private static async Task StartLoadAsync(RunningMachine machine, string options)
    {
        var data = await machine.DataAsync();
        await machine.AskAsync($"load start --polled --write --first-sector {data.First} --sectors {data.Count} {options}");
        await machine.LoadGoesOnAsync(100);
    }

    private void AssertRight(LoadAnswer load)
    {
        output.WriteLine(load.ToString());
        Assert.Equal((0, 0, 0, 0), (load.Failed, load.Lost, load.Repeated, load.Mismatched));
        Assert.Equal(load.Requests, load.Completed);
    }

    private async Task LoadAsync(GuestConsole console, string disk, int depth, Func<Task> meanwhileAsync)
    {
        await AskAsync(console, $"load start --polled --depth {depth} --write");
        await GoesOnAsync();
        await meanwhileAsync();
        await GoesOnAsync();
        AssertRight(await console.AskAsync("load stop", GuestAnswersJson.Default.LoadAnswer, Until.Patience, default));
        await AskAsync(console, "flush");
        Assert.Equal(await FileHash.OfAsync(disk, default), (await AskAsync(console, "hash")).GetProperty("sha256").GetString());

        async Task GoesOnAsync()
        {
            var before = await RingedAsync(console);
            await Until.TrueAsync(async () => await RingedAsync(console) > before + 1000, "a thousand calls complete");
        }
    }

    private static async Task<long> RingedAsync(GuestConsole console) =>
        (await AskAsync(console, "info")).GetProperty("requests").GetProperty("ring").GetInt64();
}
