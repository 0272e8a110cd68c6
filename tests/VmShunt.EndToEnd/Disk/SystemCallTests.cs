using VmShunt.EndToEnd.Processes;
using VmShunt.Perf.Launch;
using Xunit.Abstractions;

namespace VmShunt.EndToEnd.Disk;

/// <summary>
/// How many system calls a request costs each process, as the kernel counts them. Before a count the code has run long
/// enough to be compiled for good.
/// </summary>
public sealed class SystemCallTests(OwnDisk own, ITestOutputHelper output) : IClassFixture<OwnDisk>, IDisposable
{
    private const int DiskBytes = 32 << 20;

    // Enough for a hundredth of a call a request to be more than what the runtime does in the same time by itself.
    private const int Many = 50_000;

    // The two ends wake each other for every request.
    private const int Few = 10_000;

    // Compiling, collecting and the console: as many however many requests there are.
    private const int RuntimeCalls = Many / 100;

    // A polling end that finds nothing gives its core up now and then, moves to another, and looks whether its peer's
    // process lives. That goes with time and not with requests: ends that have a core each do not get that far.
    private static readonly string[] s_polling = ["sched_yield", "sched_getaffinity", "sched_setaffinity", "poll"];

    // Where an end sleeps: it is woken (poll; epoll_wait where one thread serves many rings), takes the signal (read), and
    // signals the other (write).
    private static readonly string[] s_waking = ["poll", "epoll_wait", "read", "write"];

    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [SystemCallTheory]
    [InlineData("memory", "", "randread", 1)]
    [InlineData("memory", "", "randread", 32)]
    [InlineData("memory", "", "randwrite", 32)]
    [InlineData("file", "--engine mmap", "randread", 1)]
    [InlineData("file", "--engine mmap", "randread", 32)]
    public async Task A_request_that_is_a_copy_costs_no_system_call_between_polling_ends(string disk, string options, string operation, int depth)
    {
        var (host, guest) = await CountAsync(disk, "busy", options, operation, depth, Many);
        AssertNone(host, s_polling);
        AssertNone(guest, s_polling);
    }

    [SystemCallTheory]
    [InlineData("memory", "")]
    [InlineData("file", "--engine mmap")]
    public async Task A_polled_call_costs_no_system_call_between_polling_ends(string disk, string options)
    {
        var (host, guest) = await CountAsync(disk, "busy", options, "randread --polled", 1, Many, "--poll-queues", "1");
        AssertNone(host, s_polling);
        AssertNone(guest, s_polling);
    }

    [SystemCallTheory]
    [InlineData("--engine pread", "randread", 1, "pread64")]
    [InlineData("--engine pread", "randread", 32, "pread64")]
    [InlineData("--engine pread", "randwrite", 32, "pwrite64")]
    [InlineData("--engine mmap", "randwrite", 1, "pwrite64")]
    public async Task A_request_to_a_file_costs_only_the_system_call_that_moves_its_data(string options, string operation, int depth, string call)
    {
        var (host, guest) = await CountAsync("file", "busy", options, operation, depth, Many);
        Assert.Equal(Many, host[call]);
        AssertNone(host, [call, .. s_polling]);
        AssertNone(guest, s_polling);
    }

    [SystemCallTheory]
    [InlineData("writeback", "randread", 1, 1)]
    [InlineData("writeback", "randread", 32, 0.5)]
    [InlineData("writeback", "randwrite", 32, 0.5)]
    [InlineData("direct", "randread", 1, 1)]
    [InlineData("direct", "randread", 32, 0.25)]
    public async Task Requests_by_io_uring_share_the_system_call_that_submits_them(string cache, string operation, int depth, double most)
    {
        var (host, guest) = await CountAsync("file", "busy", $"--engine uring --cache {cache}", operation, depth, Many);
        Assert.InRange(host["io_uring_enter"], 1, (long)(most * Many));
        AssertNone(host, ["io_uring_enter", .. s_polling]);
        AssertNone(guest, s_polling);
    }

    [SystemCallTheory]
    [InlineData("memory", "", 1, 0)]
    [InlineData("memory", "", 32, 0)]
    [InlineData("file", "--engine pread", 1, 0)]
    [InlineData("file", "--engine uring", 1, 1)]
    [InlineData("file", "--engine uring", 32, 1)]
    public async Task Between_sleeping_ends_a_request_costs_each_at_most_one_notification_and_one_wake_up(string disk, string options, int depth, int completions)
    {
        var (host, guest) = await CountAsync(disk, "never", options, "randread", depth, Few);
        AssertWakeUps(guest, 1);
        // What the disk does side by side wakes VM-H too.
        AssertWakeUps(host, 1 + completions);
        Assert.InRange(host["poll"] + host["epoll_wait"], 0, Few * (1 + completions) + RuntimeCalls);
        // The poller's signals need not be taken.
        if (disk == "memory") Assert.InRange(host["read"], 0, RuntimeCalls);
        Assert.InRange(host["write"], 0, Few + RuntimeCalls);
        AssertNone(guest, s_waking);
        AssertNone(host, ["pread64", "io_uring_enter", .. s_waking]);
    }

    [SystemCallTheory]
    [InlineData("mmap", 1)]
    [InlineData("mmap", 32)]
    [InlineData("pread", 1)]
    public async Task A_shunted_request_costs_what_one_on_the_ring_costs_and_the_hypervisor_nothing(string engine, int depth)
    {
        await using var machine = await RunningMachine.BootAsync(
            own.CopyTo(_folder), hostOptions: ["--engine", engine, "--poll", "busy"], guestOptions: ["--poll", "busy"]);
        await machine.ModeAsync("enlightened");
        foreach (var stack in new[] { "enlightened", "emulating" })
        {
            var (host, guest, hypervisor) = await CountAsync(machine, stack, depth, Many);
            Assert.Equal(engine == "pread" ? Many : 0, host["pread64"]);
            AssertNone(host, ["pread64", .. s_polling]);
            AssertNone(guest, s_polling);
            AssertNone(hypervisor);
        }
    }

    [SystemCallTheory]
    [InlineData(1, 8)]
    [InlineData(32, 1)]
    public async Task A_trapped_request_costs_one_message_each_way_per_exit(int depth, int exits)
    {
        const int requests = 2000, startOfMessages = 500;
        await using var machine = await RunningMachine.BootAsync(own.CopyTo(_folder), hostOptions: ["--engine", "mmap"]);
        var (host, guest, hypervisor) = await CountAsync(machine, "emulating", depth, requests);
        // A command issued, its interrupt taken and acknowledged, and a halt in between; at depth, once for many.
        long most = exits * requests + startOfMessages;
        Assert.InRange(guest["sendmsg"], 1, most);
        Assert.InRange(guest["recvmsg"], 1, most);
        // The hypervisor has two sides; a header and its payload are received together.
        Assert.InRange(hypervisor["sendmsg"], 1, 2 * most);
        Assert.InRange(hypervisor["recvmsg"], 1, 2 * most);
        Assert.InRange(host["sendmsg"], 1, most);
        Assert.InRange(host["recvmsg"], 1, most);
        Assert.InRange(host["write"], 1, requests + startOfMessages);
    }

    private static void AssertNone(SystemCalls calls, params IReadOnlyList<string> leftOut) => Assert.InRange(calls.Except(leftOut), 0, RuntimeCalls);

    private static void AssertWakeUps(SystemCalls calls, int aRequest)
    {
        foreach (var call in s_waking) Assert.InRange(calls[call], 0, Few * aRequest + RuntimeCalls);
    }

    private async Task<(SystemCalls Host, SystemCalls Guest)> CountAsync(string disk, string poll, string options, string operation, int depth, int requests, params string[] guestOptions)
    {
        var socket = _folder["ring"];
        var spec = disk == "memory" ? $"memory:{DiskBytes}" : _folder.RandomFile("disk.img", DiskBytes);
        await using var host = await Programs.StartReadyAsync(
            "vmshunt-host", ["--disk", spec, "--vhost-user", socket, "--poll", poll, .. options.Split(' ', StringSplitOptions.RemoveEmptyEntries)]);
        await using var guest = await Programs.StartReadyAsync("vmshunt-guest", ["--bus", socket, "--memory", "32M", "--poll", poll, .. guestOptions, "console"]);
        var console = new GuestConsole(guest);
        var counts = await CountAsync(
            length => console.AskAsync($"bench --operation {operation} --depth {depth} {length}", Programs.AnyAnswer, Until.Patience, default), requests, host, guest);
        return (counts[0], counts[1]);
    }

    private async Task<(SystemCalls Host, SystemCalls Guest, SystemCalls Hypervisor)> CountAsync(RunningMachine machine, string stack, int depth, int requests)
    {
        var counts = await CountAsync(length => machine.AskAsync($"bench --stack {stack} --depth {depth} {length}"), requests, machine.Host, machine.Guest, machine.Hypervisor);
        return (counts[0], counts[1], counts[2]);
    }

    private async Task<IReadOnlyList<SystemCalls>> CountAsync(Func<string, Task> benchAsync, int requests, params IReadOnlyList<ChildProcess> processes)
    {
        await benchAsync("--seconds 1");
        var traces = new List<SystemCallTrace>();
        try
        {
            foreach (var process in processes) traces.Add(await SystemCallTrace.AttachAsync(process.Id));
            await benchAsync($"--requests {requests}");
            var counts = new List<SystemCalls>();
            foreach (var trace in traces) counts.Add(await trace.EndAsync());
            output.WriteLine($"{requests} requests");
            for (var i = 0; i < counts.Count; i++) output.WriteLine($"  {processes[i].Name}: {counts[i]}");
            return counts;
        }
        finally
        {
            foreach (var trace in traces) await trace.DisposeAsync();
        }
    }
}
