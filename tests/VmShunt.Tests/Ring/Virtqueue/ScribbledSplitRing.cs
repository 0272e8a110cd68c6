using VmShunt.Ring.Memory;
using VmShunt.Ring.Virtqueue;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Ring.Virtqueue;

/// <summary>A split ring of eight entries that a test writes by hand, as a hostile driver would, and the device on it.</summary>
internal sealed class ScribbledSplitRing : IDisposable
{
    internal const int Size = 8;

    /// <summary>Where indirect tables go.</summary>
    internal const ulong Table = TestMemory.Start + 0x1_0000;

    /// <summary>Where data buffers go.</summary>
    internal const ulong Data = TestMemory.Start + 0x1_8000;

    internal SplitDeviceQueue Device;

    private readonly SplitAreas _areas;
    private ushort _available;

    internal ScribbledSplitRing(bool indirect = true, bool eventIndex = false)
    {
        _areas = SplitRing.Areas(Ram, Size);
        Device = new SplitDeviceQueue(Ram.Memory, _areas, Size, 0, indirect, eventIndex);
    }

    internal TestMemory Ram { get; } = new(0x2_0000);

    internal DescriptorChain Chain { get; } = new();

    internal MemoryWindow Available => _areas.Available;

    internal MemoryWindow Used => _areas.Used;

    internal void Descriptor(int index, ulong address, uint length, DescriptorFlags flags = 0, ushort next = 0) =>
        _areas.Descriptors.Write(SplitDescriptor.Bytes * index, new SplitDescriptor { Address = address, Length = length, Flags = flags, Next = next });

    internal void Entry(int index, ulong address, uint length, DescriptorFlags flags = 0, ushort next = 0) =>
        Ram.Window(Table + (ulong)(SplitDescriptor.Bytes * index), SplitDescriptor.Bytes)
            .Write(0, new SplitDescriptor { Address = address, Length = length, Flags = flags, Next = next });

    /// <summary>Makes a chain available.</summary>
    internal ScribbledSplitRing Offer(ushort head)
    {
        _areas.Available.Write(SplitLayout.Ring + 2 * (_available % Size), head);
        SetAvailable(++_available);
        return this;
    }

    internal void SetAvailable(ushort index) => _areas.Available.WriteUInt16Release(SplitLayout.Index, index);

    internal PopResult Pop() => Device.TryPop(Chain);

    /// <summary>The ring is broken, reports why, and stays broken; its position does not change.</summary>
    internal void AssertBroken(string why)
    {
        var position = Device.Position;
        Assert.Equal(PopResult.Broken, Pop());
        Assert.Contains(why, Device.Fault, StringComparison.Ordinal);
        SetAvailable(++_available);
        Assert.Equal(PopResult.Broken, Pop());
        Assert.Contains(why, Device.Fault, StringComparison.Ordinal);
        Assert.Equal(position, Device.Position);
    }

    public void Dispose() => Ram.Dispose();
}
