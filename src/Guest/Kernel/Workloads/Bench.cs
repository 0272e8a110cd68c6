using System.Diagnostics;
using VmShunt.BlockDriver.Memory;
using VmShunt.Guest.Machine;
using VmShunt.Guest.Requests;
using VmShunt.Ring.Memory;

namespace VmShunt.Guest.Workloads;

/// <summary>
/// Measures a stack: keeps <see cref="BenchPlan.Depth"/> requests in flight through the public block API and records the
/// latency of each; a batch's latency counts for each of its requests. Allocations are measured on the completing thread in
/// the middle 80 % of the run, without start-up and wind-down.
/// </summary>
internal sealed class Bench
{
    private readonly DiskClassDriver _disk;
    private readonly BenchPlan _plan;
    private readonly GuestBuffer _memory;
    private readonly long _blocks;
    private readonly long _start, _end, _steadyStart, _steadyEnd;
    private readonly LatencyHistogram[] _histograms;
    private readonly AllocationWindow _allocation = new();
    private long _next, _started;

    private Bench(DiskClassDriver disk, GuestBuffer memory, BenchPlan plan)
    {
        _disk = disk;
        _plan = plan;
        _memory = memory;
        _blocks = Math.Max(1, (long)plan.Sectors / (plan.BlockBytes / 512));
        _histograms = [.. Enumerable.Range(0, plan.Depth).Select(_ => new LatencyHistogram())];
        var ticks = (long)(plan.Seconds * Stopwatch.Frequency);
        _start = Stopwatch.GetTimestamp();
        _end = _start + ticks;
        _steadyStart = _start + ticks / 10;
        _steadyEnd = _start + ticks * 9 / 10;
    }

    /// <summary>The figures of a run.</summary>
    internal readonly record struct Result(
        long Requests, double Seconds, LatencyHistogram Latency, double AllocatedBytesPerRequest, double CpuMicrosecondsPerRequest, double CopiesPerRequest);

    /// <summary>Runs a plan. Blocks the calling thread. Not from a continuation.</summary>
    /// <param name="disk">The stack to measure.</param>
    /// <param name="pages">The allocator of its buffers.</param>
    /// <param name="plan">The workload.</param>
    /// <param name="queues">The queues of the bus to spread the requests over.</param>
    /// <param name="applications">Starts the threads of a polled plan.</param>
    /// <exception cref="BlockIoException">A request failed.</exception>
    internal static Result Run(DiskClassDriver disk, GuestPages pages, BenchPlan plan, int queues = 1, ApplicationProcessors? applications = null)
    {
        var memory = pages.Allocate(plan.Depth * plan.RequestsPerWorker * plan.BlockBytes);
        try
        {
            Random.Shared.NextBytes(memory.Span);
            var bench = new Bench(disk, memory, plan);
            var cpu = Environment.CpuUsage.TotalTime;
            var copies = DataCopies.Count;
            var workers = plan.IsPolled
                ? [.. Enumerable.Range(0, plan.Depth).Select(i => applications!.RunAlone(() => bench.Work(i)))]
                : Workers.Start(plan.Depth, queues, plan.Batch > 0 ? bench.WorkInBatches : bench.Work);
            Task.WaitAll(workers);
            var seconds = Stopwatch.GetElapsedTime(bench._start).TotalSeconds;
            cpu = Environment.CpuUsage.TotalTime - cpu;

            var latency = new LatencyHistogram();
            foreach (var histogram in bench._histograms) latency.Add(histogram);
            var requests = Math.Max(1, latency.Count);
            return new Result(
                latency.Count,
                seconds,
                latency,
                bench._allocation.BytesPerRequest,
                cpu.TotalMicroseconds / requests,
                (double)(DataCopies.Count - copies) / requests);
        }
        finally
        {
            pages.Free(memory);
        }
    }

    private async Task Work(int worker)
    {
        var random = new Random(worker);
        var buffer = _memory.Slice(worker * _plan.BlockBytes, _plan.BlockBytes);
        var histogram = _histograms[worker];
        for (var now = Stopwatch.GetTimestamp(); MayStart(now);)
        {
            var sector = NextSector(random);
            if (_plan.IsPolled && _plan.Writes) _disk.Write(sector, buffer);
            else if (_plan.IsPolled) _disk.Read(sector, buffer);
            else if (_plan.Writes) await _disk.WriteAsync(sector, buffer);
            else await _disk.ReadAsync(sector, buffer);
            var then = now;
            now = Stopwatch.GetTimestamp();
            histogram.RecordTicks(now - then);
            if (IsSteady(now)) _allocation.Note();
        }
    }

    private async Task WorkInBatches(int worker)
    {
        var random = new Random(worker);
        var buffers = _memory.Slice(worker * _plan.Batch * _plan.BlockBytes, _plan.Batch * _plan.BlockBytes);
        var histogram = _histograms[worker];
        var batch = new BlockBatch(_disk, _plan.Batch);
        for (var now = Stopwatch.GetTimestamp(); ;)
        {
            batch.Clear();
            while (batch.Count < _plan.Batch && MayStart(now))
            {
                var buffer = buffers.Slice(batch.Count * _plan.BlockBytes, _plan.BlockBytes);
                if (_plan.Writes) batch.Write(NextSector(random), buffer);
                else batch.Read(NextSector(random), buffer);
            }
            if (batch.Count == 0) return;
            await batch.SubmitAsync();
            if (!batch.AllSucceeded) throw new IOException("a request of a batch failed");
            var then = now;
            now = Stopwatch.GetTimestamp();
            for (var i = 0; i < batch.Count; i++)
            {
                histogram.RecordTicks(now - then);
                if (IsSteady(now)) _allocation.Note();
            }
        }
    }

    private ulong NextSector(Random random)
    {
        var block = _plan.IsRandom ? random.NextInt64(_blocks) : Interlocked.Increment(ref _next) % _blocks;
        return _plan.FirstSector + (ulong)block * ((ulong)_plan.BlockBytes / 512);
    }

    private bool MayStart(long now) => _plan.Requests is { } all ? Interlocked.Increment(ref _started) <= all : now < _end;

    private bool IsSteady(long now) => _plan.Requests is { } all
        ? Ordered.Load(ref _started) is var started && started >= all / 10 && started < all * 9 / 10
        : now >= _steadyStart && now < _steadyEnd;
}
