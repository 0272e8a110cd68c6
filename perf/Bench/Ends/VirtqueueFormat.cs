namespace VmShunt.Perf.Bench.Ends;

/// <summary>The layouts of a virtqueue that the suites measure.</summary>
public enum VirtqueueFormat
{
    /// <summary>Virtio 1.3 §2.7.</summary>
    Split,

    /// <summary>Virtio 1.3 §2.8.</summary>
    Packed,
}
