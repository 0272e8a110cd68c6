using VmShunt.BlockDriver.Memory;
using VmShunt.Ring.Interop;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Ring.Virtqueue;

namespace VmShunt.BlockDriver.Virtio;

/// <summary>Allocates the virtqueues of a channel in guest memory and starts them. One thread.</summary>
internal sealed class QueueSetup(BusSession session, GuestPages pages)
{
    private const int QueueSize = 128;
    private const int DescriptorsPerTable = 4;

    private readonly List<GuestBuffer> _memory = [];

    /// <summary>The guest memory of all queues.</summary>
    internal IReadOnlyList<GuestBuffer> Memory => _memory;

    /// <summary>Starts a queue.</summary>
    /// <param name="index">Its index among the device's queues.</param>
    /// <param name="number">Its number among the queues with a thread; null: callers poll it.</param>
    /// <param name="options">The queue's options. Its loss closes the session first.</param>
    /// <returns>A <see cref="QueueThread"/> or a <see cref="PolledQueue"/>.</returns>
    internal BusQueue Start(int index, int? number, QueueThreadOptions options)
    {
        var features = session.Features;
        var eventIndex = features.HasFlag(VirtioBlkFeatures.EventIndex);
        var indirect = features.HasFlag(VirtioBlkFeatures.IndirectDescriptors);
        var tables = indirect ? Allocate(QueueSize * DescriptorsPerTable * SplitDescriptor.Bytes) : default;
        var tablesWindow = indirect ? tables.Window : default;
        var tablesAddress = indirect ? tables.Address : 0;
        if (features.HasFlag(VirtioBlkFeatures.PackedRing))
        {
            var ring = AllocateRing(PackedLayout.DescriptorBytes(QueueSize), PackedLayout.EventBytes, PackedLayout.EventBytes);
            var areas = new PackedAreas(ring.Descriptors.Window, ring.Driver.Window, ring.Device.Window);
            return Start(index, number, new PackedDriverQueue(areas, QueueSize, eventIndex, tablesWindow, tablesAddress), PackedLayout.StartPosition, ring, options);
        }
        else
        {
            var ring = AllocateRing(SplitLayout.DescriptorBytes(QueueSize), SplitLayout.AvailableBytes(QueueSize), SplitLayout.UsedBytes(QueueSize));
            var areas = new SplitAreas(ring.Descriptors.Window, ring.Driver.Window, ring.Device.Window);
            return Start(index, number, new SplitDriverQueue(areas, QueueSize, eventIndex, tablesWindow, tablesAddress), 0, ring, options);
        }
    }

    /// <summary>Frees the queues' memory, or leaks it if the back-end has not released it and may still write there.</summary>
    internal void FreeMemory(bool isReleased)
    {
        if (isReleased) foreach (var buffer in _memory) pages.Free(buffer);
        _memory.Clear();
    }

    private BusQueue Start<TQueue>(int index, int? number, TQueue queue, uint position, in RingAreas ring, QueueThreadOptions options) where TQueue : struct, IDriverQueue
    {
        var slots = new RingSlots(queue.Capacity, Allocate(RingSlots.RequiredBytes(queue.Capacity)));
        var kick = EventFd.Create();
        var call = EventFd.Create();
        session.StartRing(index, QueueSize, position, ring.Descriptors.Address, ring.Driver.Address, ring.Device.Address, kick, call);
        var lost = options.Lost;
        options = new QueueThreadOptions(options.Wait, options.Crash, options.Enter, options.Leave, CloseFirst, options.MachineCheck);
        return number is { } thread
            ? new QueueThread<TQueue>(thread, queue, slots, kick, call, session.Peer, options)
            : new PolledQueue<TQueue>(queue, slots, kick, call, session.Peer, options);

        void CloseFirst(string why)
        {
            session.Close();
            lost(why);
        }
    }

    private RingAreas AllocateRing(int descriptors, int driver, int device) => new(Allocate(descriptors), Allocate(driver), Allocate(device));

    private GuestBuffer Allocate(int bytes)
    {
        var buffer = pages.Allocate(bytes);
        _memory.Add(buffer);
        return buffer;
    }

    private readonly record struct RingAreas(GuestBuffer Descriptors, GuestBuffer Driver, GuestBuffer Device);
}
