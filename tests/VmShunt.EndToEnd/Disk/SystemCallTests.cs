using VmShunt.EndToEnd.Processes;
using Xunit.Abstractions;

namespace VmShunt.EndToEnd.Disk;

/// <summary>The number of system calls that a request costs each process, as the kernel counts them.</summary>
public sealed class SystemCallTests(OwnDisk own, ITestOutputHelper output) : IClassFixture<OwnDisk>, IDisposable
{
    // So many that a hundredth of a call per request is more than what the runtime does in the same time by itself.
    private const int Many = 20_000, RuntimeCalls = Many / 100;

    // Sleeping ends wake each other for every request, so the same time has fewer requests and more calls of the runtime.
    private const int Few = 10_000, RuntimeCallsAsleep = Few / 20;

    // A polling end without work sometimes yields, changes its core, and checks that its peer's process exists. Their number
    // depends on time, not on requests: ends that have a core each do none of it.
    private static readonly string[] s_polling = ["sched_yield", "sched_getaffinity", "sched_setaffinity", "poll"];

    // A sleeping end is woken (poll; epoll_wait where one thread serves many rings), clears its eventfd (read), and notifies
    // its peer (write).
    private static readonly string[] s_waking = ["poll", "epoll_wait", "read", "write"];

    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [SystemCallTheory]
    [InlineData("memory", "", "randread 1", "randread 32", "randwrite 32")]
    [InlineData("file", "--engine mmap", "randread 1", "randread 32")]
    public async Task A_request_that_is_a_copy_costs_no_system_call_between_polling_ends(string disk, string options, params string[] loads)
    {
        await using var ends = await CountedEnds.StartAsync(_folder, disk, "busy", options);
        foreach (var load in loads)
        {
            var (host, guest) = await ends.CountAsync(load, Many, output);
            AssertNone(host, s_polling);
            AssertNone(guest, s_polling);
        }
    }

    [SystemCallTheory]
    [InlineData("memory", "")]
    [InlineData("file", "--engine mmap")]
    public async Task A_polled_call_costs_no_system_call_between_polling_ends(string disk, string options)
    {
        await using var ends = await CountedEnds.StartAsync(_folder, disk, "busy", options, "--poll-queues", "1");
        var (host, guest) = await ends.CountAsync("randread 1 --polled", Many, output);
        AssertNone(host, s_polling);
        AssertNone(guest, s_polling);
    }

    [SystemCallTheory]
    [InlineData("--engine pread", "randread 1", "randread 32", "randwrite 32")]
    [InlineData("--engine mmap", "randwrite 1")]
    public async Task A_request_to_a_file_costs_only_the_system_call_that_moves_its_data(string options, params string[] loads)
    {
        await using var ends = await CountedEnds.StartAsync(_folder, "file", "busy", options);
        foreach (var load in loads)
        {
            var call = load.StartsWith("randread", StringComparison.Ordinal) ? "pread64" : "pwrite64";
            var (host, guest) = await ends.CountAsync(load, Many, output);
            Assert.Equal(Many, host[call]);
            AssertNone(host, [call, .. s_polling]);
            AssertNone(guest, s_polling);
        }
    }

    [SystemCallTheory]
    [InlineData("writeback", 0.5, "randread 1", "randread 32", "randwrite 32")]
    [InlineData("direct", 0.25, "randread 1", "randread 32")]
    public async Task Requests_by_io_uring_share_the_system_call_that_submits_them(string cache, double mostAtDepth, params string[] loads)
    {
        await using var ends = await CountedEnds.StartAsync(_folder, "file", "busy", $"--engine uring --cache {cache}");
        foreach (var load in loads)
        {
            var most = load.EndsWith(" 1", StringComparison.Ordinal) ? 1 : mostAtDepth;
            var (host, guest) = await ends.CountAsync(load, Many, output);
            Assert.InRange(host["io_uring_enter"], 1, (long)(most * Many));
            AssertNone(host, ["io_uring_enter", .. s_polling]);
            AssertNone(guest, s_polling);
        }
    }

    [SystemCallTheory]
    [InlineData("memory", "", 0, 1, 32)]
    [InlineData("file", "--engine pread", 0, 1)]
    [InlineData("file", "--engine uring", 1, 1, 32)]
    public async Task Between_sleeping_ends_a_request_costs_each_at_most_one_notification_and_one_wake_up(string disk, string options, int completions, params int[] depths)
    {
        await using var ends = await CountedEnds.StartAsync(_folder, disk, "never", options);
        foreach (var depth in depths)
        {
            var (host, guest) = await ends.CountAsync($"randread {depth}", Few, output);
            AssertWakeUps(guest, 1);
            // Completions of asynchronous I/O wake VM-H too.
            AssertWakeUps(host, 1 + completions);
            Assert.InRange(host["poll"] + host["epoll_wait"], 0, Few * (1 + completions) + RuntimeCallsAsleep);
            // A poller need not clear its eventfds.
            if (disk == "memory") Assert.InRange(host["read"], 0, RuntimeCallsAsleep);
            Assert.InRange(host["write"], 0, Few + RuntimeCallsAsleep);
            Assert.InRange(guest.Except(s_waking), 0, RuntimeCallsAsleep);
            Assert.InRange(host.Except(["pread64", "io_uring_enter", .. s_waking]), 0, RuntimeCallsAsleep);
        }
    }

    [SystemCallTheory]
    [InlineData("mmap", 1, 32)]
    [InlineData("pread", 1)]
    public async Task A_shunted_request_costs_what_one_on_the_ring_costs_and_the_hypervisor_nothing(string engine, params int[] depths)
    {
        await using var ends = await CountedEnds.BootAsync(_folder, own.CopyTo(_folder), $"--engine {engine} --poll busy", "--poll", "busy");
        await ends.AskAsync("mode enlightened");
        foreach (var stack in new[] { "enlightened", "emulating" })
        {
            foreach (var depth in depths)
            {
                var (host, guest) = await ends.CountAsync($"randread {depth} --stack {stack}", Many, output);
                Assert.Equal(engine == "pread" ? Many : 0, host["pread64"]);
                AssertNone(host, ["pread64", .. s_polling]);
                AssertNone(guest, s_polling);
                AssertNone(ends.Hypervisor!);
            }
        }
    }

    [SystemCallFact]
    public async Task A_trapped_request_costs_one_message_each_way_per_exit()
    {
        const int requests = 2000, startOfMessages = 500;
        await using var ends = await CountedEnds.BootAsync(_folder, own.CopyTo(_folder), "--engine mmap");
        // At depth 1 the command, its interrupt with its acknowledgement, and a halt; at depth 32 one exit for many requests.
        foreach (var (depth, exits) in new[] { (1, 8), (32, 1) })
        {
            var (host, guest) = await ends.CountAsync($"randread {depth} --stack emulating", requests, output);
            long most = exits * requests + startOfMessages;
            Assert.InRange(guest["sendmsg"], 1, most);
            Assert.InRange(guest["recvmsg"], 1, most);
            // The hypervisor has two sides; it receives a header and its payload with one call.
            Assert.InRange(ends.Hypervisor!["sendmsg"], 1, 2 * most);
            Assert.InRange(ends.Hypervisor!["recvmsg"], 1, 2 * most);
            Assert.InRange(host["sendmsg"], 1, most);
            Assert.InRange(host["recvmsg"], 1, most);
            Assert.InRange(host["write"], 1, requests + startOfMessages);
        }
    }

    private static void AssertNone(SystemCalls calls, params IReadOnlyList<string> leftOut) => Assert.InRange(calls.Except(leftOut), 0, RuntimeCalls);

    private static void AssertWakeUps(SystemCalls calls, int perRequest)
    {
        foreach (var call in s_waking) Assert.InRange(calls[call], 0, Few * perRequest + RuntimeCallsAsleep);
    }
}
