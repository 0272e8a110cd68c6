using VmShunt.EndToEnd.Processes;
using VmShunt.Perf.Measure;
using Xunit.Abstractions;

namespace VmShunt.EndToEnd.Shunt;

public sealed class ExitCounterTests(SharedMachine shared, ITestOutputHelper output) : IClassFixture<SharedMachine>
{
    // The largest request of `read`.
    private const int ChunkSectors = 2048;

    [Fact]
    public Task Requests_on_the_ring_and_shunted_ones_cost_no_exit() => shared.UseAsync(async machine =>
    {
        var data = await machine.DataAsync();
        await machine.ModeAsync("enlightened");
        var before = await machine.SettledExitsAsync();
        var completed = await machine.CompletedAsync();

        foreach (var stack in new[] { "enlightened", "emulating" })
        {
            Assert.Equal(2000, (await machine.BenchAsync(stack, "randread", 32, data)).Requests);
            Assert.Equal(2000, (await machine.BenchAsync(stack, "randwrite", 32, data)).Requests);
            await machine.AskAsync($"hash --stack {stack} --bytes {1 << 20}");
            await machine.AskAsync($"flush --stack {stack}");
            await machine.AskAsync($"discard --stack {stack} --sector {data.First} --count 8");
        }

        Assert.Equal(completed.Trap, (await machine.CompletedAsync()).Trap);
        Assert.Equal(before, await machine.SettledExitsAsync());
    });

    [Fact]
    public Task A_trapped_request_costs_the_same_exits_each_time_and_they_are_those_that_AHCI_needs() => shared.UseAsync(async machine =>
    {
        var costs = new List<long>();
        var before = await machine.SettledExitsAsync();
        var start = before;
        for (var i = 0; i < 10; i++)
        {
            await machine.AskAsync($"read --stack emulating --sector {i * 8} --count 8 --output /dev/null");
            var after = await machine.SettledExitsAsync();
            costs.Add(after.Total - before.Total);
            before = after;
        }
        output.WriteLine($"exits per trapped request: {string.Join(", ", costs)}; " +
            $"10 requests: {before.MmioRead - start.MmioRead} register reads, {before.MmioWrite - start.MmioWrite} writes, {before.Halt - start.Halt} halts");
        // PxCI to issue it, hlt, and PxIS and IS to have another interrupt; the completion is found in memory.
        Assert.All(costs, static cost => Assert.Equal(4, cost));
        Assert.Equal((0, 30, 10), (before.MmioRead - start.MmioRead, before.MmioWrite - start.MmioWrite, before.Halt - start.Halt));
        Assert.Equal(start.Hypercall, before.Hypercall);

        const int Many = 40;
        await machine.AskAsync($"read --stack emulating --count {Many * ChunkSectors} --output /dev/null");
        Assert.Equal(before.Total + (Many * costs[0]), (await machine.SettledExitsAsync()).Total);
    });

    [Theory]
    [InlineData("emulating", "emulating")]
    [InlineData("alternate", "emulating")]
    [InlineData("enlightened", "emulating")]
    [InlineData("enlightened", "enlightened")]
    public Task No_path_copies_or_allocates_for_a_request(string mode, string stack) => shared.UseAsync(async machine =>
    {
        var data = await machine.DataAsync();
        await machine.ModeAsync(mode);
        foreach (var operation in new[] { "randread", "randwrite" })
        {
            foreach (var depth in new[] { 1, 32 })
            {
                // The first round is the warm-up.
                _ = await machine.BenchAsync(stack, operation, depth, data);
                var answer = await machine.BenchAsync(stack, operation, depth, data);
                output.WriteLine($"{mode}/{stack} {operation} depth {depth}: {answer.Requests} requests, {answer.AllocatedBytesPerRequest} bytes allocated, {answer.CopiesPerRequest} copies each");
                Assert.Equal(2000, answer.Requests);
                Assert.Equal(0, answer.CopiesPerRequest);
                Assert.Equal(0, answer.AllocatedBytesPerRequest);
            }
        }
    });

    [Fact]
    public Task The_ring_works_while_the_hypervisor_is_stopped_and_the_trap_works_again_afterwards() => shared.UseAsync(async machine =>
    {
        var data = await machine.DataAsync();
        await machine.ModeAsync("enlightened");
        var before = await machine.SettledExitsAsync();
        ProcessTable.Send(machine.Hypervisor.Id, ProcessTable.SIGSTOP);
        try
        {
            await Until.TrueAsync(() => ProcessTable.IsStopped(machine.Hypervisor.Id), "the hypervisor is stopped");
            var cpu = ProcessorTime.Of(machine.Hypervisor.Id);
            foreach (var stack in new[] { "enlightened", "emulating" })
            {
                Assert.Equal(2000, (await machine.BenchAsync(stack, "randread", 32, data)).Requests);
            }
            Assert.True(ProcessTable.IsStopped(machine.Hypervisor.Id));
            Assert.Equal(cpu, ProcessorTime.Of(machine.Hypervisor.Id));
        }
        finally
        {
            ProcessTable.Send(machine.Hypervisor.Id, ProcessTable.SIGCONT);
        }
        Assert.Equal(before, await machine.SettledExitsAsync());
        await machine.ModeAsync("emulating");
        Assert.Equal(100, (await machine.BenchAsync("emulating", "randread", 1, data, requests: 100)).Requests);
        Assert.True((await machine.SettledExitsAsync()).Total > before.Total);
    });

    [Fact]
    public Task In_alternate_mode_reads_and_writes_take_the_ring_and_a_flush_the_trap_without_an_enlightened_stack() => shared.UseAsync(async machine =>
    {
        var data = await machine.DataAsync();
        await machine.ModeAsync("alternate");
        Assert.Contains("there is no enlightened stack", await machine.RefusalAsync("hash --stack enlightened"), StringComparison.Ordinal);

        var before = await machine.SettledExitsAsync();
        await machine.BenchAsync("emulating", "randread", 32, data);
        await machine.BenchAsync("emulating", "randwrite", 32, data);
        await machine.AskAsync($"hash --stack emulating --bytes {4 << 20}");
        Assert.Equal(before, await machine.SettledExitsAsync());

        foreach (var secondary in new[] { "flush --stack emulating", $"discard --stack emulating --sector {data.First} --count 8" })
        {
            await machine.AskAsync(secondary);
            var after = await machine.SettledExitsAsync();
            Assert.Equal(4, after.Total - before.Total);
            before = after;
        }
    });
}
