namespace VmShunt.Tests.Ring.Virtqueue;

/// <summary>Tests whose two threads must run at the same moment: they run alone.</summary>
[CollectionDefinition(nameof(TwoCores), DisableParallelization = true)]
public sealed class TwoCores;
