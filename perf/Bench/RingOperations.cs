using BenchmarkDotNet.Attributes;
using VmShunt.BlockDriver;
using VmShunt.Perf.Ends;

namespace VmShunt.Perf.Bench;

/// <summary>
/// The cost of one descriptor chain of a read (header, data, status) in the virtqueue code, both ends on one thread: driver
/// add and publish, device pop, return and publish, driver reap.
/// </summary>
[MemoryDiagnoser]
public class RingOperations
{
    private const int Chains = 4096;

    private RingMemory _memory = null!;
    private ChainLoop _loop = null!;

    /// <summary>The layout of the virtqueue.</summary>
    [Params(RingLayout.Split, RingLayout.Packed)]
    public RingLayout Layout { get; set; }

    /// <summary>Whether the three buffers are in an indirect table.</summary>
    [Params(false, true)]
    public bool Indirect { get; set; }

    /// <summary>Chains per publish.</summary>
    [Params(1, 8, 32)]
    public int Batch { get; set; }

    [GlobalSetup]
    public void Setup()
    {
        _memory = RingMemory.Create(dataBytes: 4096);
        _loop = ChainLoop.Create(Layout, _memory, Indirect, Batch);
        Tiering.Settle(Chain);
    }

    [GlobalCleanup]
    public void Cleanup() => _memory.Dispose();

    [Benchmark(OperationsPerInvoke = Chains)]
    public void Chain() => _loop.Run(Chains);
}
