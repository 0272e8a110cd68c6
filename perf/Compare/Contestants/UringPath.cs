using System.Diagnostics;
using Microsoft.Win32.SafeHandles;
using VmShunt.Guest.Workloads;
using VmShunt.Perf.Measure;
using VmShunt.Ring.Files;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;

namespace VmShunt.Perf.Compare.Contestants;

/// <summary>
/// Random reads of a file with io_uring on one thread of this process: no VM, no virtqueue, no second thread. Uses the
/// io_uring code of VM-H, so that the difference to VM-H is the rest of the path.
/// </summary>
internal sealed class UringPath : IDisposable
{
    private readonly SafeFileHandle _file;
    private readonly EventFd _completed = EventFd.Create();
    private readonly SafeFileHandle _memoryFile;
    private readonly MemoryRegion _region;
    private readonly GuestMemory _memory;
    private readonly IoVectors[] _buffers;
    private readonly long[] _started;
    private readonly Random _random = new();
    private readonly Workload _workload;
    private readonly long _blocks;

    /// <param name="path">The file.</param>
    /// <param name="direct">Whether to open it with O_DIRECT.</param>
    /// <param name="workload">Block size and queue depth of the reads.</param>
    /// <param name="bytes">The size of the range that is read, from the start of the file.</param>
    /// <exception cref="IOException">The file cannot be opened that way.</exception>
    internal UringPath(string path, bool direct, Workload workload, long bytes)
    {
        _workload = workload;
        _blocks = bytes / workload.BlockSize;
        _file = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        if (direct && !DirectIo.TryEnable(_file, out _)) throw new IOException($"{path}: its file system does not support O_DIRECT");
        var size = (long)workload.BlockSize * workload.QueueDepth;
        _memoryFile = SharedMemoryFile.Create("vmshunt-uring", size);
        _region = MemoryRegion.Map(_memoryFile, 0, (ulong)size, 0);
        _memory = new GuestMemory(_region);
        _started = new long[workload.QueueDepth];
        _buffers = new IoVectors[workload.QueueDepth];
        for (var i = 0; i < _buffers.Length; i++)
        {
            _buffers[i] = new IoVectors();
            _memory.TryAppend((ulong)((long)i * workload.BlockSize), (ulong)workload.BlockSize, true, _buffers[i]);
        }
    }

    /// <summary>Reads for the given time on the calling thread.</summary>
    /// <exception cref="IOException">io_uring is not available, or a read failed.</exception>
    internal (long Requests, double Seconds, LatencyHistogram Latencies, long CpuNanoseconds) Measure(TimeSpan duration)
    {
        using var ring = IoUring.TryCreate(_buffers.Length, _file, _completed) ?? throw new IOException("io_uring is not available on this machine");
        ring.Disarm();
        var latencies = new LatencyHistogram();
        long start = Stopwatch.GetTimestamp(), end = start + (long)(duration.TotalSeconds * Stopwatch.Frequency), cpu = ProcessorTime.OfCurrentThread();
        for (var i = 0; i < _buffers.Length; i++) Start(ring, i, start);
        ring.Submit();
        while (ring.InFlight > 0)
        {
            ring.WaitForOne();
            var now = Stopwatch.GetTimestamp();
            while (ring.TryReap(out var token, out var result))
            {
                if (result != _workload.BlockSize) throw new IOException($"a read with io_uring returned {result}");
                latencies.Record((long)Stopwatch.GetElapsedTime(_started[token], now).TotalNanoseconds);
                if (now < end) Start(ring, (int)token, now);
            }
            ring.Submit();
        }
        return (latencies.Count, Stopwatch.GetElapsedTime(start).TotalSeconds, latencies, ProcessorTime.OfCurrentThread() - cpu);
    }

    public void Dispose()
    {
        _memory.Dispose();
        _region.Dispose();
        _memoryFile.Dispose();
        _completed.Dispose();
        _file.Dispose();
    }

    private void Start(IoUring ring, int slot, long now)
    {
        _started[slot] = now;
        ring.PrepareRead(_buffers[slot], _random.NextInt64(_blocks) * _workload.BlockSize, (ulong)slot);
    }
}
