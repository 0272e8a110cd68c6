using VmShunt.Ring.Memory;
using VmShunt.Ring.Virtqueue;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Ring.Virtqueue;

/// <summary>What the two ends agreed on.</summary>
public readonly record struct QueueOptions(int Size, bool Indirect, bool EventIndex);

/// <summary>Makes the two ends of one ring layout, for tests that hold for every layout.</summary>
public interface IRingKind<TDriver, TDevice>
    where TDriver : struct, IDriverQueue
    where TDevice : struct, IDeviceQueue
{
    /// <summary>Bytes of the ring itself; it starts at the memory's start.</summary>
    static abstract int RingBytes(int size);

    /// <summary>The driver's end; <paramref name="tables"/> is memory for indirect tables, empty when those are not agreed on.</summary>
    static abstract TDriver CreateDriver(TestMemory ram, QueueOptions options, MemoryWindow tables, ulong tablesAddress);

    /// <summary>Where a new ring's device starts.</summary>
    static abstract uint StartPosition { get; }

    /// <summary>The requests in flight up to which the driver describes them in the ring, though it has indirect tables.</summary>
    static abstract int DirectRequests(int size);

    /// <summary>The device's end.</summary>
    static abstract TDevice CreateDevice(TestMemory ram, QueueOptions options, uint position);
}
