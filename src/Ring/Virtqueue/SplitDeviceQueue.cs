using VmShunt.Ring.Memory;

namespace VmShunt.Ring.Virtqueue;

/// <summary>The device's side of a split virtqueue (virtio 1.3 §2.7).</summary>
public struct SplitDeviceQueue : IDeviceQueue
{
    private readonly GuestMemory _memory;
    private readonly SplitAreas _areas;
    private readonly int _size;
    private readonly bool _indirect;
    private readonly bool _eventIndex;
    private readonly SplitInflight? _inflight;
    private ushort _nextAvailable;
    private ushort _knownAvailable;
    private ushort _nextUsed;
    private ushort _calledUsed;

    /// <summary>Attaches to a ring.</summary>
    /// <param name="memory">The guest memory that contains the indirect tables; must outlive the queue.</param>
    /// <param name="areas">The ring's areas, with the lengths of <see cref="SplitLayout"/>.</param>
    /// <param name="size">A valid split queue size.</param>
    /// <param name="position">The available index to start at: the value of SET_VRING_BASE; 0 for a new ring.</param>
    /// <param name="indirect">VIRTIO_F_INDIRECT_DESC was negotiated.</param>
    /// <param name="eventIndex">VIRTIO_F_EVENT_IDX was negotiated.</param>
    /// <param name="inflight">
    /// Memory of <see cref="InflightBytes"/> for the record of chains in flight, or an empty window. The in-flight chains of a
    /// previous back-end process are popped first.
    /// </param>
    public SplitDeviceQueue(
        GuestMemory memory, SplitAreas areas, int size, ushort position, bool indirect, bool eventIndex, MemoryWindow inflight = default)
    {
        if (!SplitLayout.IsValidSize(size)) throw new ArgumentOutOfRangeException(nameof(size), size, "a split queue's size is a power of two");
        _memory = memory;
        _areas = areas;
        _size = size;
        _indirect = indirect;
        _eventIndex = eventIndex;
        _nextAvailable = _knownAvailable = position;
        // The previous device stopped at the used index in memory. It equals the position unless requests were in flight.
        _nextUsed = _calledUsed = areas.Used.ReadUInt16Acquire(SplitLayout.Index);
        if (inflight.Length == 0) return;
        _inflight = new SplitInflight(inflight, size, _nextUsed);
        // The front-end knows only the used index. The chains in flight were popped from there on.
        _nextAvailable = _knownAvailable = (ushort)(_nextUsed + _inflight.Pending);
    }

    /// <summary>Bytes of the record of chains in flight, for a ring of this size.</summary>
    public static int InflightBytes(int size) => SplitInflight.RequiredBytes(size);

    /// <inheritdoc/>
    public readonly uint Position => _nextAvailable;

    /// <inheritdoc/>
    public string? Fault { get; private set; }

    /// <inheritdoc/>
    public readonly bool HasPending => Fault is null && _inflight is { Pending: > 0 };

    /// <inheritdoc/>
    public PopResult TryPop(DescriptorChain chain)
    {
        if (HasPending) return PopPending(_inflight!.PopPending(), chain);
        if (_nextAvailable == _knownAvailable)
        {
            if (Fault is not null) return PopResult.Broken;
            // Acquire: the ring entries and descriptors are read after the index that announces them.
            _knownAvailable = _areas.Available.ReadUInt16Acquire(SplitLayout.Index);
            var ahead = (ushort)(_knownAvailable - _nextAvailable);
            if (ahead == 0)
            {
                // The next entry may be on another cache line than the index.
                _areas.Available.Prefetch(SplitLayout.Ring + sizeof(ushort) * (_nextAvailable & (_size - 1)));
                return PopResult.Empty;
            }
            if (ahead > _size) return Break("the available index is ahead by more than the queue's size");
        }

        var entry = SplitLayout.Ring + sizeof(ushort) * (_nextAvailable & (_size - 1));
        var head = _areas.Available.Read<ushort>(entry);
        var fault = ReadChain(head, chain);
        if (fault is not null) return Break(fault);
        _nextAvailable++;
        _inflight?.Popped(head);
        return PopResult.Popped;
    }

    /// <inheritdoc/>
    public void Return(ChainHandle handle, uint written)
    {
        var entry = SplitLayout.Ring + 8 * (_nextUsed & (_size - 1));
        _areas.Used.Write(entry, handle.Id | (ulong)written << 32);
        _nextUsed++;
        _inflight?.Returned(handle.Id);
    }

    /// <inheritdoc/>
    public bool TryUnpop(ChainHandle handle)
    {
        var entry = SplitLayout.Ring + sizeof(ushort) * (_nextUsed & (_size - 1));
        if (_nextAvailable != (ushort)(_nextUsed + 1) || _areas.Available.Read<ushort>(entry) != handle.Id) return false;
        _nextAvailable = _knownAvailable = _nextUsed;
        _inflight?.Unpopped(handle.Id);
        return true;
    }

    /// <inheritdoc/>
    public bool Publish()
    {
        // Release: the entries, and the data and status that they announce, are visible before the index.
        _areas.Used.WriteUInt16Release(SplitLayout.Index, _nextUsed);
        _inflight?.Published(_nextUsed);
        // The index must be visible before the suppression word is read; otherwise a driver that arms now is not called.
        Fence.StoreBeforeLoad();
        var before = _calledUsed;
        _calledUsed = _nextUsed;
        return _eventIndex
            ? SplitLayout.NeedsEvent(_areas.Available.Read<ushort>(SplitLayout.UsedEvent(_size)), _nextUsed, before)
            : (_areas.Available.Read<ushort>(0) & SplitLayout.NoInterrupt) == 0 && before != _nextUsed;
    }

    /// <inheritdoc/>
    public readonly bool Arm()
    {
        if (_eventIndex) _areas.Used.WriteUInt16Release(SplitLayout.AvailableEvent(_size), _nextAvailable);
        else _areas.Used.WriteUInt16Release(0, 0);
        // The event must be visible before the index is read again; otherwise both sides block.
        Fence.StoreBeforeLoad();
        return _areas.Available.ReadUInt16Acquire(SplitLayout.Index) != _nextAvailable;
    }

    /// <inheritdoc/>
    public readonly void Disarm()
    {
        // With EVENT_IDX the driver has already passed the old avail_event: nothing to write.
        if (!_eventIndex) _areas.Used.WriteUInt16Release(0, SplitLayout.NoNotify);
    }

    private PopResult PopPending(ushort head, DescriptorChain chain) => ReadChain(head, chain) is { } fault ? Break(fault) : PopResult.Popped;

    private readonly string? ReadChain(ushort head, DescriptorChain chain)
    {
        chain.Begin(new ChainHandle(head, 1));
        var index = head;
        for (var steps = 0; steps < _size; steps++)
        {
            if (index >= _size) return "a descriptor index beyond the queue's size";
            var descriptor = _areas.Descriptors.Read<SplitDescriptor>(SplitDescriptor.Bytes * index);
            if ((descriptor.Flags & DescriptorFlags.Indirect) != 0)
            {
                if (!_indirect) return "an indirect descriptor, which was not negotiated";
                if ((descriptor.Flags & DescriptorFlags.Next) != 0) return "an indirect descriptor with NEXT (virtio 1.3 §2.7.5.3.1)";
                return ReadIndirect(descriptor.Address, descriptor.Length, chain);
            }
            var fault = chain.Add(descriptor.Address, descriptor.Length, (descriptor.Flags & DescriptorFlags.Write) != 0);
            if (fault is not null) return fault;
            if ((descriptor.Flags & DescriptorFlags.Next) == 0) return null;
            index = descriptor.Next;
        }
        return "a descriptor chain longer than the queue, or a loop";
    }

    private readonly string? ReadIndirect(ulong address, uint bytes, DescriptorChain chain)
    {
        if (bytes == 0 || bytes % SplitDescriptor.Bytes != 0) return "an indirect table whose length is no multiple of 16";
        var count = bytes / SplitDescriptor.Bytes;
        if (count > DescriptorChain.MaxSegments) return "an indirect table of more than 1024 entries";
        if (!_memory.TryGetWindow(address, (int)bytes, out var table)) return "an indirect table outside guest memory";
        uint index = 0;
        for (uint steps = 0; steps < count; steps++)
        {
            if (index >= count) return "an index beyond the indirect table";
            var descriptor = table.Read<SplitDescriptor>((int)(SplitDescriptor.Bytes * index));
            if ((descriptor.Flags & DescriptorFlags.Indirect) != 0) return "an indirect table inside an indirect table";
            var fault = chain.Add(descriptor.Address, descriptor.Length, (descriptor.Flags & DescriptorFlags.Write) != 0);
            if (fault is not null) return fault;
            if ((descriptor.Flags & DescriptorFlags.Next) == 0) return null;
            index = descriptor.Next;
        }
        return "a loop in an indirect table";
    }

    private PopResult Break(string fault)
    {
        Fault = fault;
        _knownAvailable = _nextAvailable;
        return PopResult.Broken;
    }
}
