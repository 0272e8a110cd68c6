using System.CommandLine;
using System.Text.Json.Nodes;
using VmShunt.BlockDriver.Virtio;
using VmShunt.Guest.Workloads;

namespace VmShunt.Guest.Commands.Measure;

/// <summary><c>bench</c>: measures a stack with one request type.</summary>
internal static class BenchCommand
{
    internal static Command Build(ICommandRunner runner)
    {
        var stack = StackOption.Create();
        var operation = new Option<BenchOperation>("--operation") { Description = "the access pattern: randread, randwrite, read or write" };
        var block = new Option<int>("--block-size") { DefaultValueFactory = _ => 4096, Description = "bytes per request, a multiple of 512" };
        var depth = new Option<int>("--depth") { DefaultValueFactory = _ => 1, Description = "requests or batches in flight, 1 to 1024" };
        var batch = new Option<int>("--batch") { Description = "requests per batch, which are submitted and awaited as one, 1 to 1024; by default no batches" };
        var seconds = new Option<double>("--seconds") { DefaultValueFactory = _ => 1, Description = "the duration" };
        var requests = new Option<long?>("--requests") { Description = "the number of requests, instead of --seconds" };
        var polled = new Option<bool>("--polled") { Description = "use polled calls, with a thread per request in flight" };
        var first = new Option<ulong>("--first-sector") { Description = "the first sector of the range" };
        var sectors = new Option<ulong?>("--sectors") { Description = "the sectors of the range; by default to the end of the disk" };
        block.Validators.Add(r =>
        {
            if (r.GetValue(block) is var bytes && (bytes is < 512 or > 4 << 20 || bytes % 512 != 0)) r.AddError("--block-size takes a multiple of 512 up to 4 MiB");
        });
        depth.Validators.Add(r =>
        {
            if (r.GetValue(depth) is < 1 or > 1024) r.AddError("--depth takes 1 to 1024");
        });
        batch.Validators.Add(r =>
        {
            if (r.GetValue(batch) is < 1 or > 1024) r.AddError("--batch takes 1 to 1024");
        });
        seconds.Validators.Add(r =>
        {
            if (r.GetValue(seconds) is not (> 0 and < 1e5)) r.AddError("--seconds takes a positive number");
        });
        requests.Validators.Add(r =>
        {
            if (r.GetValue(requests) is < 1) r.AddError("--requests takes a positive number");
        });

        var command = new Command("bench", "measure a stack with one request type") { stack, operation, block, depth, batch, seconds, requests, polled, first, sectors };
        command.SetAction(r => runner.Run("bench", session =>
        {
            var disk = session.Disk(r.GetValue(stack));
            var all = disk.Geometry.SectorCount;
            var from = r.GetValue(first);
            var length = r.GetValue(sectors) ?? all - Math.Min(from, all);
            if (length > all || from > all - length || length < (ulong)r.GetValue(block) / 512)
                throw new ArgumentException($"{length} sectors from sector {from} are not a range for blocks of {r.GetValue(block)} bytes on a disk of {all} sectors");
            var plan = new BenchPlan(
                r.GetValue(operation), r.GetValue(block), r.GetValue(depth), r.GetValue(seconds), from, length, r.GetValue(requests), r.GetValue(batch), r.GetValue(polled));
            var before = RingCounters(session.Kernel);
            var result = Bench.Run(disk, session.Kernel.Pages, plan, session.Kernel.Channel?.QueueCount ?? 1, plan.IsPolled ? session.Kernel.Applications : null);
            var after = RingCounters(session.Kernel);
            return Answer(plan, result, after.Kicks - before.Kicks, after.Calls - before.Calls);
        }));
        return command;
    }

    private static JsonObject Answer(BenchPlan plan, Bench.Result result, long kicks, long calls)
    {
        var requests = Math.Max(1.0, result.Requests);
        var perSecond = result.Requests / result.Seconds;
        return new JsonObject
        {
            ["requests"] = result.Requests,
            ["iops"] = perSecond,
            ["megabytesPerSecond"] = perSecond * plan.BlockBytes / 1e6,
            ["p50Microseconds"] = result.Latency.PercentileMicroseconds(0.50),
            ["p99Microseconds"] = result.Latency.PercentileMicroseconds(0.99),
            ["p999Microseconds"] = result.Latency.PercentileMicroseconds(0.999),
            ["maxMicroseconds"] = result.Latency.MaxMicroseconds,
            ["kicksPerRequest"] = kicks / requests,
            ["callsPerRequest"] = calls / requests,
            ["copiesPerRequest"] = result.CopiesPerRequest,
            ["allocatedBytesPerRequest"] = result.AllocatedBytesPerRequest,
            ["guestCpuMicrosecondsPerRequest"] = result.CpuMicrosecondsPerRequest,
        };
    }

    private static QueueCounters RingCounters(Kernel kernel) => QueueCounters.Sum(kernel.Channel?.Counters ?? []);
}
