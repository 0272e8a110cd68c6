using System.Diagnostics;
using Microsoft.Win32.SafeHandles;
using VmShunt.Ring.Files;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;

namespace VmShunt.Perf.Measure;

/// <summary>
/// Random reads of a file by io_uring on one thread of this process, as many under way as asked: no machine, no ring of
/// virtio, no other thread. With VM-H's own io_uring, so that what differs is the rest.
/// </summary>
internal sealed class UringPath : IDisposable
{
    private readonly SafeFileHandle _file;
    private readonly EventFd _completed = EventFd.Create();
    private readonly SafeFileHandle _memoryFile;
    private readonly MemoryRegion _region;
    private readonly GuestMemory _memory;
    private readonly IoVectors[] _buffers;
    private readonly long[] _begun;
    private readonly Random _random = new();
    private readonly Workload _workload;
    private readonly long _blocks;

    /// <param name="path">The file.</param>
    /// <param name="direct">Past the page cache.</param>
    /// <param name="workload">Random reads.</param>
    /// <param name="bytes">How much of the file is read.</param>
    /// <exception cref="IOException">The file cannot be opened so.</exception>
    internal UringPath(string path, bool direct, Workload workload, long bytes)
    {
        _workload = workload;
        _blocks = bytes / workload.BlockSize;
        _file = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        if (direct && !DirectIo.TryEnable(_file, out _)) throw new IOException($"{path}: its file system refuses direct I/O");
        var size = (long)workload.BlockSize * workload.QueueDepth;
        _memoryFile = SharedMemoryFile.Create("vmshunt-uring", size);
        _region = MemoryRegion.Map(_memoryFile, 0, (ulong)size, 0);
        _memory = new GuestMemory(_region);
        _begun = new long[workload.QueueDepth];
        _buffers = new IoVectors[workload.QueueDepth];
        for (var i = 0; i < _buffers.Length; i++)
        {
            _buffers[i] = new IoVectors();
            _memory.TryAppend((ulong)((long)i * workload.BlockSize), (ulong)workload.BlockSize, true, _buffers[i]);
        }
    }

    /// <summary>Reads for a while, on the calling thread.</summary>
    /// <exception cref="IOException">This machine has no io_uring, or a read failed.</exception>
    internal (long Requests, double Seconds, LatencyHistogram Latencies, long CpuNanoseconds) Measure(TimeSpan duration)
    {
        using var ring = IoUring.TryCreate(_buffers.Length, _file, _completed) ?? throw new IOException("this machine has no io_uring");
        ring.Disarm();
        var latencies = new LatencyHistogram();
        long start = Stopwatch.GetTimestamp(), end = start + (long)(duration.TotalSeconds * Stopwatch.Frequency), cpu = ProcessorTime.OfCurrentThread();
        for (var i = 0; i < _buffers.Length; i++) Begin(ring, i, start);
        ring.Submit();
        while (ring.InFlight > 0)
        {
            ring.WaitForOne();
            var now = Stopwatch.GetTimestamp();
            while (ring.TryReap(out var token, out var result))
            {
                if (result != _workload.BlockSize) throw new IOException($"a read by io_uring ended with {result}");
                latencies.Record((long)Stopwatch.GetElapsedTime(_begun[token], now).TotalNanoseconds);
                if (now < end) Begin(ring, (int)token, now);
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

    private void Begin(IoUring ring, int slot, long now)
    {
        _begun[slot] = now;
        ring.PrepareRead(_buffers[slot], _random.NextInt64(_blocks) * _workload.BlockSize, (ulong)slot);
    }
}
