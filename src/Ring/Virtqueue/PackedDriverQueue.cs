using VmShunt.Ring.Memory;

namespace VmShunt.Ring.Virtqueue;

/// <summary>The driver's side of a packed virtqueue (virtio 1.3 §2.8).</summary>
public struct PackedDriverQueue : IDriverQueue
{
    private const ushort NotInFlight = ushort.MaxValue;

    private readonly PackedAreas _areas;
    private readonly int _size;
    private readonly bool _eventIndex;
    private readonly MemoryWindow _tables;
    private readonly ulong _tablesAddress;
    private readonly int _tableBytes;

    // The driver's own state, which the device cannot change: free ids, and the slots and token of each id.
    private readonly ushort[] _freeIds;
    private readonly ushort[] _slots;
    private readonly ushort[] _tokens;
    private readonly Entry[] _entries;

    private int _freeSlots;
    private PackedPosition _available;
    private PackedPosition _used;
    private PackedPosition _published;
    private int _unpublished;

    /// <summary>Initializes a ring.</summary>
    /// <param name="areas">The ring's areas.</param>
    /// <param name="size">A valid packed queue size.</param>
    /// <param name="eventIndex">VIRTIO_F_EVENT_IDX was negotiated.</param>
    /// <param name="tables">Memory for one indirect table per id, or an empty window.</param>
    /// <param name="tablesAddress">The guest-physical address of <paramref name="tables"/>.</param>
    public PackedDriverQueue(PackedAreas areas, int size, bool eventIndex, MemoryWindow tables = default, ulong tablesAddress = 0)
    {
        if (!PackedLayout.IsValidSize(size)) throw new ArgumentOutOfRangeException(nameof(size), size, "a packed queue has 1 to 32768 entries");
        _areas = areas;
        _size = size;
        _eventIndex = eventIndex;
        _tables = tables;
        _tablesAddress = tablesAddress;
        _tableBytes = tables.Length / size / PackedDescriptor.Bytes * PackedDescriptor.Bytes;
        _freeIds = new ushort[size];
        _slots = new ushort[size];
        _tokens = new ushort[size];
        _entries = new Entry[size];
        for (var i = 0; i < size; i++)
        {
            _freeIds[i] = (ushort)(size - 1 - i);
            _tokens[i] = NotInFlight;
        }
        _freeSlots = size;
        _available = _used = _published = new PackedPosition(size, PackedLayout.FirstLap);
        areas.Descriptors.Span.Clear();
        areas.Driver.Span.Clear();
        areas.Device.Span.Clear();
    }

    /// <inheritdoc/>
    public readonly int Capacity => HasTables ? _size : _size / 3;

    /// <inheritdoc/>
    public int InFlight { get; private set; }

    /// <inheritdoc/>
    public string? Fault { get; private set; }

    private readonly bool HasTables => _tableBytes >= 3 * PackedDescriptor.Bytes;

    /// <inheritdoc/>
    public bool TryAdd(ReadOnlySpan<QueueBuffer> buffers, int readable, ushort token)
    {
        ArgumentOutOfRangeException.ThrowIfEqual(token, NotInFlight);
        ArgumentOutOfRangeException.ThrowIfZero(buffers.Length);
        if (Fault is not null) return false;
        var indirect = buffers.Length > 1 && buffers.Length * PackedDescriptor.Bytes <= _tableBytes;
        var slots = indirect ? 1 : buffers.Length;
        if (slots > _freeSlots) return false;

        // Each id in flight occupies at least one slot, so a free slot implies a free id.
        var id = _freeIds[_size - 1 - InFlight];
        if (indirect) AddIndirect(id, buffers, readable);
        else AddDirect(id, buffers, readable);
        _freeSlots -= slots;
        _slots[id] = (ushort)slots;
        _tokens[id] = token;
        _unpublished += slots;
        InFlight++;
        return true;
    }

    /// <inheritdoc/>
    public bool Publish()
    {
        if (_unpublished == 0) return false;
        // All entries are written together: the device polls the cache line of the first one, and would steal it in between.
        // The first entry is written last, because the device stops at an entry that is not available.
        var next = _published;
        for (var i = 1; i < _unpublished; i++)
        {
            next.Advance(1);
            Write(next.Index);
        }
        Write(_published.Index);
        // The flags must be visible before the suppression word is read; otherwise a device that arms now is not kicked.
        Fence.StoreBeforeLoad();
        var slots = _unpublished;
        _unpublished = 0;
        _published = _available;
        return PackedEvent.IsWanted(_areas.Device, _available, slots, _size, _eventIndex);
    }

    /// <inheritdoc/>
    public PopResult TryPopUsed(out ushort token, out uint written)
    {
        token = 0;
        written = 0;
        if (Fault is not null) return PopResult.Broken;
        // With nothing in flight, entries that look used are the driver's own.
        if (InFlight == 0 || !IsUsed()) return PopResult.Empty;
        var descriptor = _areas.Descriptors.Read<PackedDescriptor>(_used.Offset);
        var id = descriptor.Id;
        if (id >= _size || _tokens[id] == NotInFlight) return Break("the device returned a buffer that is not in flight");
        token = _tokens[id];
        written = descriptor.Length;
        _tokens[id] = NotInFlight;
        _used.Advance(_slots[id]);
        _freeSlots += _slots[id];
        InFlight--;
        _freeIds[_size - 1 - InFlight] = id;
        return PopResult.Popped;
    }

    /// <inheritdoc/>
    public readonly bool Arm()
    {
        PackedEvent.Arm(_areas.Driver, _used, _eventIndex);
        // The event must be visible before the ring is read again; otherwise both sides block.
        Fence.StoreBeforeLoad();
        return InFlight > 0 && IsUsed();
    }

    /// <inheritdoc/>
    public readonly void Disarm() => PackedEvent.Disarm(_areas.Driver);

    // Acquire: the rest of the entry, data and status are read after the flags.
    private readonly bool IsUsed() =>
        _used.IsUsed((DescriptorFlags)_areas.Descriptors.ReadUInt16Acquire(_used.Offset + PackedLayout.Flags));

    private void AddDirect(ushort id, ReadOnlySpan<QueueBuffer> buffers, int readable)
    {
        for (var i = 0; i < buffers.Length; i++)
        {
            var flags = (i < readable ? 0 : DescriptorFlags.Write) | (i == buffers.Length - 1 ? 0 : DescriptorFlags.Next);
            Place(buffers[i], id, flags);
        }
    }

    private void AddIndirect(ushort id, ReadOnlySpan<QueueBuffer> buffers, int readable)
    {
        var table = _tableBytes * id;
        for (var i = 0; i < buffers.Length; i++)
        {
            var rest = PackedLayout.RestOf(buffers[i].Length, 0, i < readable ? 0 : DescriptorFlags.Write);
            // An equal entry is not written again, so its cache line stays with the device.
            var wanted = new UInt128(rest, buffers[i].Address);
            var entry = table + PackedDescriptor.Bytes * i;
            if (_tables.Read<UInt128>(entry) != wanted) _tables.Write(entry, wanted);
        }
        Place(new QueueBuffer(_tablesAddress + (ulong)table, (uint)(PackedDescriptor.Bytes * buffers.Length)), id, DescriptorFlags.Indirect);
    }

    private void Place(QueueBuffer buffer, ushort id, DescriptorFlags flags)
    {
        _entries[_available.Index] = new Entry(buffer.Address, PackedLayout.RestOf(buffer.Length, id, flags | _available.AvailableFlags));
        _available.Advance(1);
    }

    // Release: the address and all earlier writes are visible before the flags.
    private readonly void Write(int index)
    {
        var entry = _entries[index];
        var offset = PackedDescriptor.Bytes * index;
        _areas.Descriptors.Write(offset, entry.Address);
        _areas.Descriptors.WriteUInt64Release(offset + PackedLayout.Rest, entry.Rest);
    }

    private PopResult Break(string fault)
    {
        Fault = fault;
        return PopResult.Broken;
    }

    // A descriptor that the next publish writes to the ring.
    private readonly record struct Entry(ulong Address, ulong Rest);
}
