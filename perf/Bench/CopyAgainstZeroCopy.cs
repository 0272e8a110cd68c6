using BenchmarkDotNet.Attributes;
using Microsoft.Extensions.Logging.Abstractions;
using VmShunt.BlockBackend.Disk;
using VmShunt.BlockBackend.VirtioBlk;
using VmShunt.Perf.Ends;
using VmShunt.Ring.Memory;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Ring.Virtqueue;

namespace VmShunt.Perf.Bench;

/// <summary>
/// A read through the ring into the application's pages vs a read into a bounce buffer and a copy. Both ends on one thread;
/// the device is VM-H's virtio-blk device on a memory disk (<c>memory:SIZE</c>), which costs one copy.
/// </summary>
[MemoryDiagnoser]
public class CopyAgainstZeroCopy
{
    // Larger than the caches, so that the data is not cached by accident.
    private const int DiskBytes = 32 << 20, BufferBytes = 32 << 20, MaxBlock = 1 << 20;
    private const ulong BounceAddress = BufferBytes;

    private readonly DescriptorChain _chain = new();
    private readonly QueueBuffer[] _buffers = new QueueBuffer[RequestShape.Buffers];
    private RingMemory _memory = null!;
    private VirtualizationDriver _disk = null!;
    private VirtioBlkRequestProcessor _processor = null!;
    private SplitDriverQueue _driver;
    private SplitDeviceQueue _device;
    private int _next;

    /// <summary>Bytes per request.</summary>
    [Params(4 << 10, 64 << 10, 1 << 20)]
    public int BlockBytes { get; set; }

    [GlobalSetup]
    public void Setup()
    {
        _memory = RingMemory.Create(BufferBytes + MaxBlock);
        _disk = new VirtualizationDriver(new HostClassDriver(new MemoryPortDriver(DiskBytes), NullLogger.Instance), "BENCH", 512);
        FillDisk();
        _processor = new VirtioBlkRequestProcessor(new VirtioBlkDevice(_disk, queues: 1, maxQueueSize: 1024), _memory.Memory, new SharedFlag());
        _driver = _memory.SplitDriver(indirect: true, eventIndex: true);
        _device = _memory.SplitDevice(indirect: true, eventIndex: true);
        Tiering.Settle(InPlace);
        Tiering.Settle(ThroughBounceBuffer);
    }

    [GlobalCleanup]
    public void Cleanup()
    {
        _disk.Dispose();
        _memory.Dispose();
    }

    [Benchmark(Baseline = true)]
    public void InPlace()
    {
        var at = NextBlock();
        Read(at, RingMemory.Data + at);
    }

    [Benchmark]
    public void ThroughBounceBuffer()
    {
        var at = NextBlock();
        Read(at, RingMemory.Data + BounceAddress);
        _memory.Memory.GetSpan(RingMemory.Data + BounceAddress, BlockBytes).CopyTo(_memory.Memory.GetSpan(RingMemory.Data + at, BlockBytes));
    }

    private ulong NextBlock()
    {
        var at = _next;
        _next = (at + BlockBytes) % BufferBytes;
        return (ulong)at;
    }

    private void Read(ulong diskOffset, ulong target)
    {
        var slot = RingMemory.Slot(0);
        if (!_memory.Memory.TryWrite(slot, new VirtioBlkRequestHeader { Type = VirtioBlkRequestType.In, Sector = diskOffset / 512 })
            || !_memory.Memory.TryWrite(slot + RequestShape.StatusOffset, byte.MaxValue))
        {
            throw new InvalidOperationException("the request's slot is outside guest memory");
        }
        RequestShape.Describe(_buffers, slot, target, BlockBytes);
        if (!_driver.TryAdd(_buffers, RequestShape.Readable, 0)) throw new InvalidOperationException("the ring is full");
        _driver.Publish();

        if (_device.TryPop(_chain) != PopResult.Popped) throw new InvalidOperationException(_device.Fault ?? "the device found no chain");
        if (!_processor.TryProcess(_chain, HostClassDriver.NoSector, out var returned)) throw new InvalidOperationException("the request was cancelled");
        _device.Return(_chain.Handle, returned);
        _device.Publish();

        if (_driver.TryPopUsed(out _, out var written) != PopResult.Popped || written != BlockBytes + 1
            || !_memory.Memory.TryRead(slot + RequestShape.StatusOffset, out VirtioBlkStatus status) || status != VirtioBlkStatus.Ok)
        {
            throw new InvalidOperationException(_driver.Fault ?? "the read failed");
        }
    }

    /// <summary>Also touches every page of the buffers before the first measurement.</summary>
    private void FillDisk()
    {
        new Random(1).NextBytes(_memory.Memory.GetSpan(RingMemory.Data, BufferBytes + MaxBlock));
        var content = new IoVectors();
        if (!_memory.Memory.TryAppend(RingMemory.Data, DiskBytes, deviceWrites: false, content) || _disk.Write(0, content, new SharedFlag()) != DiskStatus.Ok)
            throw new InvalidOperationException("the disk cannot be filled");
    }
}
