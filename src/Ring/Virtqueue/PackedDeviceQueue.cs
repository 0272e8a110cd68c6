using VmShunt.Ring.Memory;

namespace VmShunt.Ring.Virtqueue;

/// <summary>The device's side of a packed virtqueue (virtio 1.3 §2.8).</summary>
public struct PackedDeviceQueue : IDeviceQueue
{
    private const int NoEntry = -1;

    private readonly GuestMemory _memory;
    private readonly PackedAreas _areas;
    private readonly int _size;
    private readonly bool _indirect;
    private readonly bool _eventIndex;
    private readonly PackedInflight? _inflight;
    private PackedPosition _available;
    private PackedPosition _used;
    private int _heldOffset = NoEntry;
    private ulong _heldRest;
    private int _unsignalled;

    /// <summary>Attaches to a ring.</summary>
    /// <param name="memory">The guest memory that contains the indirect tables; must outlive the queue.</param>
    /// <param name="areas">The ring's areas.</param>
    /// <param name="size">A valid packed queue size.</param>
    /// <param name="position">Where to start: the value of SET_VRING_BASE; <see cref="PackedLayout.StartPosition"/> for a new ring.</param>
    /// <param name="indirect">VIRTIO_F_INDIRECT_DESC was negotiated.</param>
    /// <param name="eventIndex">VIRTIO_F_EVENT_IDX was negotiated.</param>
    /// <param name="inflight">
    /// Memory of <see cref="InflightBytes"/> for the record of chains in flight, or an empty window. The in-flight chains of a
    /// previous back-end process are popped first.
    /// </param>
    public PackedDeviceQueue(
        GuestMemory memory, PackedAreas areas, int size, uint position, bool indirect, bool eventIndex, MemoryWindow inflight = default)
    {
        if (!PackedLayout.IsValidSize(size)) throw new ArgumentOutOfRangeException(nameof(size), size, "a packed queue has 1 to 32768 entries");
        _memory = memory;
        _areas = areas;
        _size = size;
        _indirect = indirect;
        _eventIndex = eventIndex;
        _available = new PackedPosition(size, (ushort)position);
        _used = new PackedPosition(size, (ushort)(position >> 16));
        if (inflight.Length == 0) return;
        _inflight = new PackedInflight(inflight, areas.Descriptors, size, _used.Word);
        // The front-end knows only the used position. The chains in flight were popped from there on.
        _available = _used = new PackedPosition(size, _inflight.Used);
        _available.Advance(Math.Min(_inflight.PendingSlots, size));
    }

    /// <summary>Bytes of the record of chains in flight, for a ring of this size.</summary>
    public static int InflightBytes(int size) => PackedInflight.RequiredBytes(size);

    /// <inheritdoc/>
    public readonly uint Position => (uint)_used.Word << 16 | _available.Word;

    /// <inheritdoc/>
    public string? Fault { get; private set; }

    /// <inheritdoc/>
    public readonly bool HasPending => Fault is null && _inflight is { Pending: > 0 };

    /// <inheritdoc/>
    public PopResult TryPop(DescriptorChain chain)
    {
        if (Fault is not null) return PopResult.Broken;
        if (HasPending) return PopPending(chain, _inflight!);
        // Acquire: the descriptors are read after the flags of the first one, which the driver writes last.
        if (!IsAvailable()) return PopResult.Empty;
        var next = _available;
        chain.Begin(default);
        _inflight?.Begin();
        for (var slots = 1; slots <= _size; slots++)
        {
            var descriptor = _areas.Descriptors.Read<PackedDescriptor>(next.Offset);
            next.Advance(1);
            _inflight?.Add(descriptor);
            if (AddTo(chain, descriptor) is { } fault) return Break(fault);
            if ((descriptor.Flags & DescriptorFlags.Next) != 0) continue;
            chain.SetHandle(new ChainHandle(descriptor.Id, (ushort)slots));
            _inflight?.Popped(descriptor.Id);
            _available = next;
            return PopResult.Popped;
        }
        return Break("a descriptor chain longer than the queue");
    }

    /// <inheritdoc/>
    public void Return(ChainHandle handle, uint written)
    {
        var offset = _used.Offset;
        var rest = PackedLayout.RestOf(written, handle.Id, _used.UsedFlags | (written > 0 ? DescriptorFlags.Write : 0));
        _used.Advance(handle.Slots);
        _unsignalled += handle.Slots;
        if (_inflight is not null)
        {
            // Recorded one by one: the next process would take a batch that is half written for a complete one.
            _inflight.Returning(handle.Id, _used.Word);
            _areas.Descriptors.WriteUInt64Release(offset + PackedLayout.Rest, rest);
            _inflight.Returned();
        }
        else if (_heldOffset == NoEntry)
        {
            // The driver stops at the first entry that is not used, so it sees none of the batch until this entry is written.
            _heldOffset = offset;
            _heldRest = rest;
        }
        else
        {
            _areas.Descriptors.WriteUInt64Release(offset + PackedLayout.Rest, rest);
        }
    }

    /// <inheritdoc/>
    public bool TryUnpop(ChainHandle handle)
    {
        var last = _used;
        last.Advance(handle.Slots - 1);
        var after = _used;
        after.Advance(handle.Slots);
        // Chains returned out of order have overwritten entries. The chain's id must still be in its own entry.
        if (after.Word != _available.Word || _areas.Descriptors.Read<PackedDescriptor>(last.Offset).Id != handle.Id) return false;
        _available = _used;
        _inflight?.Unpopped(handle.Id);
        return true;
    }

    /// <inheritdoc/>
    public bool Publish()
    {
        if (_unsignalled == 0) return false;
        if (_heldOffset != NoEntry)
        {
            // Release: the entries, and the data and status that they announce, are visible before the flags.
            _areas.Descriptors.WriteUInt64Release(_heldOffset + PackedLayout.Rest, _heldRest);
            _heldOffset = NoEntry;
        }
        // The flags must be visible before the suppression word is read; otherwise a driver that arms now is not called.
        Fence.StoreBeforeLoad();
        var slots = _unsignalled;
        _unsignalled = 0;
        return PackedEvent.IsWanted(_areas.Driver, _used, slots, _size, _eventIndex);
    }

    /// <inheritdoc/>
    public readonly bool Arm()
    {
        PackedEvent.Arm(_areas.Device, _available, _eventIndex);
        // The event must be visible before the ring is read again; otherwise both sides block.
        Fence.StoreBeforeLoad();
        return IsAvailable();
    }

    /// <inheritdoc/>
    public readonly void Disarm() => PackedEvent.Disarm(_areas.Device);

    private PopResult PopPending(DescriptorChain chain, PackedInflight inflight)
    {
        var (entry, count) = inflight.PopPending();
        var head = entry;
        chain.Begin(default);
        for (var slots = 1; slots <= count; slots++)
        {
            var descriptor = inflight.Read(entry, out entry);
            if (AddTo(chain, descriptor) is { } fault) return Break(fault);
            if ((descriptor.Flags & DescriptorFlags.Next) != 0) continue;
            chain.SetHandle(new ChainHandle(descriptor.Id, (ushort)slots));
            inflight.Assign(head, descriptor.Id);
            return PopResult.Popped;
        }
        return Break("a request in flight without its last descriptor");
    }

    /// <returns>Null, or what is wrong with the descriptor.</returns>
    private readonly string? AddTo(DescriptorChain chain, in PackedDescriptor descriptor)
    {
        var isLast = (descriptor.Flags & DescriptorFlags.Next) == 0;
        if (isLast && descriptor.Id >= _size) return "a buffer id beyond the queue's size";
        if ((descriptor.Flags & DescriptorFlags.Indirect) == 0)
            return chain.Add(descriptor.Address, descriptor.Length, (descriptor.Flags & DescriptorFlags.Write) != 0);
        return isLast ? ReadIndirect(descriptor.Address, descriptor.Length, chain) : "an indirect descriptor with NEXT (virtio 1.3 §2.8.19)";
    }

    private readonly bool IsAvailable() =>
        _available.IsAvailable((DescriptorFlags)_areas.Descriptors.ReadUInt16Acquire(_available.Offset + PackedLayout.Flags));

    private readonly string? ReadIndirect(ulong address, uint bytes, DescriptorChain chain)
    {
        if (!_indirect) return "an indirect descriptor, which was not negotiated";
        if (bytes == 0 || bytes % PackedDescriptor.Bytes != 0) return "an indirect table whose length is no multiple of 16";
        var count = bytes / PackedDescriptor.Bytes;
        if (count > DescriptorChain.MaxSegments) return "an indirect table of more than 1024 entries";
        if (!_memory.TryGetWindow(address, (int)bytes, out var table)) return "an indirect table outside guest memory";
        for (var i = 0; i < count; i++)
        {
            var descriptor = table.Read<PackedDescriptor>(PackedDescriptor.Bytes * i);
            if ((descriptor.Flags & DescriptorFlags.Indirect) != 0) return "an indirect table inside an indirect table";
            var fault = chain.Add(descriptor.Address, descriptor.Length, (descriptor.Flags & DescriptorFlags.Write) != 0);
            if (fault is not null) return fault;
        }
        return null;
    }

    private PopResult Break(string fault)
    {
        Fault = fault;
        return PopResult.Broken;
    }
}
