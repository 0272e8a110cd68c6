using System.Diagnostics;
using Microsoft.Win32.SafeHandles;
using VmShunt.Guest.Workloads;
using VmShunt.Perf.Launch.Model;

namespace VmShunt.Perf.Measure;

/// <summary>
/// The upper limit: this process reads the file into its memory, without a VM. These reads are synchronous, so the queue
/// depth becomes threads, at most one per processor, and buffers; the latency is that of the call.
/// </summary>
internal sealed class DirectPath : IDisposable
{
    private readonly SafeFileHandle _file;
    private readonly SectorRange _range;

    internal DirectPath(string disk, bool mayWrite, SectorRange range)
    {
        _file = File.OpenHandle(disk, FileMode.Open, mayWrite ? FileAccess.ReadWrite : FileAccess.Read, FileShare.ReadWrite);
        _range = range;
    }

    internal PathResult Measure(Workload workload, TimeSpan duration)
    {
        var threads = Math.Min(workload.QueueDepth, Environment.ProcessorCount);
        var workers = new Worker[threads];
        for (var i = 0; i < threads; i++) workers[i] = new Worker(this, workload, i, threads);

        long start = Stopwatch.GetTimestamp(), end = start + (long)(duration.TotalSeconds * Stopwatch.Frequency);
        foreach (Worker worker in workers) worker.Start(end);
        foreach (Worker worker in workers) worker.Join();
        var seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;

        var all = new LatencyHistogram();
        foreach (Worker worker in workers) all.Add(worker.Latencies);
        return Result(workload, all, seconds, workers.Sum(static worker => worker.CpuNanoseconds), workers.Sum(static worker => worker.AllocatedBytes));
    }

    public void Dispose() => _file.Dispose();

    // This process makes the requests, so its CPU time is in the guest's column.
    private static PathResult Result(Workload workload, LatencyHistogram latencies, double seconds, long cpuNanoseconds, long allocatedBytes)
    {
        double requests = Math.Max(1, latencies.Count), iops = latencies.Count / seconds;
        double Percentile(double share) => PathResult.Round(latencies.PercentileMicroseconds(share));
        return new PathResult(
            DiskPath.Direct, workload.Operation, workload.BlockSize, workload.QueueDepth, latencies.Count,
            PathResult.Round(iops), PathResult.Round(iops * workload.BlockSize / 1e6),
            Percentile(0.5), Percentile(0.99), Percentile(0.999), PathResult.Round(latencies.MaxNanoseconds / 1000.0),
            0, 0, 0, 0, PathResult.Round(allocatedBytes / requests), PathResult.Round(cpuNanoseconds / requests / 1000), 0, 0);
    }

    private sealed class Worker
    {
        private readonly DirectPath _path;
        private readonly Workload _workload;
        private readonly Thread _thread;
        private readonly byte[][] _buffers;
        private readonly Random _random = new();
        private readonly long _blocks;
        private readonly int _stride;
        private long _block, _end;
        private Exception? _failure;

        internal Worker(DirectPath path, Workload workload, int index, int threads)
        {
            _path = path;
            _workload = workload;
            _stride = threads;
            _blocks = Math.Max(1, path._range.Count * 512 / workload.BlockSize);
            _block = index % _blocks;
            _buffers = new byte[Math.Max(1, workload.QueueDepth / threads)][];
            for (var i = 0; i < _buffers.Length; i++) _buffers[i] = GC.AllocateArray<byte>(workload.BlockSize, pinned: true);
            _thread = new Thread(Run) { IsBackground = true, Name = "direct" };
        }

        internal LatencyHistogram Latencies { get; } = new();

        internal long AllocatedBytes { get; private set; }

        internal long CpuNanoseconds { get; private set; }

        internal void Start(long end)
        {
            _end = end;
            _thread.Start();
        }

        internal void Join()
        {
            _thread.Join();
            if (_failure is not null) throw new IOException($"the direct path failed: {_failure.Message}", _failure);
        }

        private void Run()
        {
            try
            {
                long cpu = ProcessorTime.OfCurrentThread(), allocated = GC.GetAllocatedBytesForCurrentThread();
                // At least one request, even if the thread starts late on a busy machine.
                for (var i = 0; i == 0 || Stopwatch.GetTimestamp() < _end; i++)
                {
                    var buffer = _buffers[i % _buffers.Length];
                    long offset = (_path._range.First * 512) + (NextBlock() * _workload.BlockSize), before = Stopwatch.GetTimestamp();
                    if (_workload.Writes) RandomAccess.Write(_path._file, buffer, offset);
                    else _ = RandomAccess.Read(_path._file, buffer, offset);
                    Latencies.Record((long)Stopwatch.GetElapsedTime(before).TotalNanoseconds);
                }
                AllocatedBytes = GC.GetAllocatedBytesForCurrentThread() - allocated;
                CpuNanoseconds = ProcessorTime.OfCurrentThread() - cpu;
            }
            catch (IOException e)
            {
                _failure = e;
            }
        }

        private long NextBlock()
        {
            if (_workload.Random) return _random.NextInt64(_blocks);
            var block = _block;
            _block = (_block + _stride) % _blocks;
            return block;
        }
    }
}
