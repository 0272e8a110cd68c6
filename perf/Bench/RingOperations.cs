using BenchmarkDotNet.Attributes;
using VmShunt.Perf.Bench.Ends;

namespace VmShunt.Perf.Bench;

/// <summary>
/// What a descriptor chain of a read (header, data, status) costs in the ring's code alone, both ends on one thread:
/// driver add and publish, device take, return and publish, driver reap. The mean is that of one chain.
/// </summary>
[MemoryDiagnoser]
public class RingOperations
{
    private const int Chains = 4096;

    private RingMemory _memory = null!;
    private ChainLoop _loop = null!;

    /// <summary>The ring's layout.</summary>
    [Params(VirtqueueFormat.Split, VirtqueueFormat.Packed)]
    public VirtqueueFormat Layout { get; set; }

    /// <summary>Whether the three buffers stand in an indirect table.</summary>
    [Params(false, true)]
    public bool Indirect { get; set; }

    /// <summary>Chains published at once.</summary>
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
