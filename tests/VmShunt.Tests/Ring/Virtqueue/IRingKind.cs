using VmShunt.Ring.Memory;
using VmShunt.Ring.Virtqueue;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Ring.Virtqueue;

/// <summary>What the two ends negotiated.</summary>
public readonly record struct QueueOptions(int Size, bool Indirect, bool EventIndex);

/// <summary>Makes the two ends of one ring layout, for tests that hold for every layout.</summary>
public interface IRingKind<TDriver, TDevice>
    where TDriver : struct, IDriverQueue
    where TDevice : struct, IDeviceQueue
{
    /// <summary>Queue sizes worth a test.</summary>
    static abstract int[] Sizes { get; }

    /// <summary>Bytes of the ring itself; it starts at the memory's start.</summary>
    static abstract int RingBytes(int size);

    /// <summary>The driver's end; <paramref name="tables"/> is memory for indirect tables, empty where those are not negotiated.</summary>
    static abstract TDriver CreateDriver(TestMemory ram, QueueOptions options, MemoryWindow tables, ulong tablesAddress);

    /// <summary>Where a new ring's device starts.</summary>
    static abstract uint StartPosition { get; }

    /// <summary>How many requests in flight the driver describes in the ring itself, although it has indirect tables.</summary>
    static abstract int DirectRequests(int size);

    /// <summary>The device's end.</summary>
    static abstract TDevice CreateDevice(TestMemory ram, QueueOptions options, uint position);
}
