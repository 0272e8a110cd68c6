using VmShunt.Ring.Memory;

namespace VmShunt.Ring.Virtqueue;

/// <summary>
/// The record of a packed ring's chains in flight (vhost-user, "Inflight I/O tracking", <c>QueueRegionPacked</c>). It keeps
/// their descriptors too, because used entries overwrite them in the ring. The memory outlives the back-end process; its
/// content is not trusted. Only the thread that owns the queue uses it.
/// </summary>
internal sealed class PackedInflight
{
    private const int VersionOffset = 8, SizeOffset = 10, FreeOffset = 12, OldFreeOffset = 14;
    private const int UsedOffset = 16, OldUsedOffset = 18, HeaderBytes = 32;
    private const int EntryBytes = 32, NextOffset = 2, LastOffset = 4, CountOffset = 6, CounterOffset = 8;
    private const int IdOffset = 16, FlagsOffset = 18, LengthOffset = 20, AddressOffset = 24;
    private const ushort Version = 1;

    // No entry. Any number past the last entry ends the free list.
    private const ushort None = ushort.MaxValue;

    private readonly MemoryWindow _region;
    private readonly int _size;
    private readonly ushort[] _headOfId;
    private readonly ushort[] _resubmit;
    private int _resubmitted;
    private ulong _counter;
    private ushort _head;
    private ushort _returning;

    /// <param name="region">At least <see cref="RequiredBytes"/>; zeros for a new ring.</param>
    /// <param name="ring">The descriptor ring.</param>
    /// <param name="size">The ring's size.</param>
    /// <param name="used">The used position, if the region is new.</param>
    internal PackedInflight(MemoryWindow region, MemoryWindow ring, int size, ushort used)
    {
        _region = region;
        _size = size;
        _headOfId = new ushort[size];
        Array.Fill(_headOfId, None);
        if (!IsRecord(region, size)) Initialize(used);
        else Recover(ring);
        Used = _region.Read<ushort>(UsedOffset);
        _resubmit = [.. Enumerable.Range(0, size).Where(i => region.Read<byte>(Entry(i)) == 1)
            .OrderBy(i => region.Read<ulong>(Entry(i) + CounterOffset)).Select(i => (ushort)i)];
        _counter = _resubmit.Length == 0 ? 0 : region.Read<ulong>(Entry(_resubmit[^1]) + CounterOffset) + 1;
        foreach (var head in _resubmit) PendingSlots += Math.Min((int)_region.Read<ushort>(Entry(head) + CountOffset), size);
    }

    /// <summary>The used position: index and wrap counter.</summary>
    internal ushort Used { get; }

    /// <summary>Ring slots of all chains in flight that the previous process left.</summary>
    internal int PendingSlots { get; }

    /// <summary>Chains of the previous process that this one has not yet popped again.</summary>
    internal int Pending => _resubmit.Length - _resubmitted;

    internal static int RequiredBytes(int size) => HeaderBytes + EntryBytes * size;

    /// <summary>Whether the memory is the record of a ring of this size; otherwise it is new.</summary>
    internal static bool IsRecord(MemoryWindow region, int size) =>
        region.Length > 0 && region.Read<ushort>(VersionOffset) == Version && region.Read<ushort>(SizeOffset) == size;

    /// <summary>Drops a record whose used position is another one: it is of an earlier ring.</summary>
    internal static void DropUnlessAt(MemoryWindow region, ushort used)
    {
        if (region.Read<ushort>(UsedOffset) != used) region.WriteUInt16Release(VersionOffset, 0);
    }

    /// <summary>The oldest of <see cref="Pending"/>: its first entry, and how many entries it has.</summary>
    internal (ushort Entry, int Count) PopPending()
    {
        var head = _resubmit[_resubmitted++];
        return (head, Math.Min((int)_region.Read<ushort>(Entry(head) + CountOffset), _size));
    }

    /// <summary>A recorded descriptor, and the entry that follows it.</summary>
    internal PackedDescriptor Read(ushort entry, out ushort next)
    {
        var at = Entry(entry < _size ? entry : 0);
        next = _region.Read<ushort>(at + NextOffset);
        return new PackedDescriptor
        {
            Address = _region.Read<ulong>(at + AddressOffset),
            Length = _region.Read<uint>(at + LengthOffset),
            Id = _region.Read<ushort>(at + IdOffset),
            Flags = _region.Read<DescriptorFlags>(at + FlagsOffset),
        };
    }

    /// <summary>Assigns the id of a chain from <see cref="PopPending"/>.</summary>
    internal void Assign(ushort head, ushort id) => _headOfId[id] = head;

    /// <summary>Starts the record of a chain.</summary>
    internal void Begin()
    {
        // A driver that makes more chains available than the ring holds is served, but its chains are not recorded.
        _head = FreeEntry();
        if (_head != None) _region.Write(Entry(_head) + CountOffset, (ushort)0);
    }

    /// <summary>Records one of its descriptors.</summary>
    internal void Add(in PackedDescriptor descriptor)
    {
        var free = FreeEntry();
        if (free == None || _head == None) return;
        var at = Entry(free);
        _region.Write(at + IdOffset, descriptor.Id);
        _region.Write(at + FlagsOffset, descriptor.Flags);
        _region.Write(at + LengthOffset, descriptor.Length);
        _region.Write(at + AddressOffset, descriptor.Address);
        _region.Write(Entry(_head) + LastOffset, free);
        _region.Write(Entry(_head) + CountOffset, (ushort)(_region.Read<ushort>(Entry(_head) + CountOffset) + 1));
        _region.WriteUInt16Release(FreeOffset, _region.Read<ushort>(at + NextOffset));
    }

    /// <summary>The chain is in flight. Called before it is processed.</summary>
    internal void Popped(ushort id)
    {
        _headOfId[id] = _head;
        if (_head == None) return;
        _region.Write(Entry(_head) + CounterOffset, _counter++);
        _region.Write(Entry(_head), (byte)1);
        _region.WriteUInt16Release(OldFreeOffset, _region.Read<ushort>(FreeOffset));
    }

    /// <summary>The chain was not processed: it is available, not in flight.</summary>
    internal void Unpopped(ushort id)
    {
        Unlist(id);
        Returned();
    }

    /// <summary>The chain is about to be written to the used ring.</summary>
    internal void Returning(ushort id, ushort usedAfter)
    {
        Unlist(id);
        _region.WriteUInt16Release(UsedOffset, usedAfter);
    }

    /// <summary>The driver sees the chain as used.</summary>
    internal void Returned()
    {
        if (_returning != None) _region.Write(Entry(_returning), (byte)0);
        _region.WriteUInt16Release(OldFreeOffset, _region.Read<ushort>(FreeOffset));
        _region.WriteUInt16Release(OldUsedOffset, _region.Read<ushort>(UsedOffset));
    }

    private void Unlist(ushort id)
    {
        _returning = _headOfId[id];
        _headOfId[id] = None;
        if (_returning == None) return;
        var last = _region.Read<ushort>(Entry(_returning) + LastOffset);
        _region.Write(Entry(last < _size ? last : _returning) + NextOffset, _region.Read<ushort>(FreeOffset));
        _region.WriteUInt16Release(FreeOffset, _returning);
    }

    private void Initialize(ushort used)
    {
        _region.Span[..RequiredBytes(_size)].Clear();
        for (var i = 0; i < _size; i++) _region.Write(Entry(i) + NextOffset, (ushort)(i + 1));
        _region.Write(SizeOffset, (ushort)_size);
        _region.Write(UsedOffset, used);
        _region.Write(OldUsedOffset, used);
        _region.WriteUInt16Release(VersionOffset, Version);
    }

    private void Recover(MemoryWindow ring)
    {
        var old = new PackedPosition(_size, _region.Read<ushort>(OldUsedOffset));
        // The previous process was returning a chain. If the entry is no longer available, the driver has seen it as used.
        var published = _region.Read<ushort>(UsedOffset) != _region.Read<ushort>(OldUsedOffset)
            && !old.IsAvailable(ring.Read<DescriptorFlags>(old.Offset + PackedLayout.Flags));
        if (published)
        {
            _region.Write(OldFreeOffset, _region.Read<ushort>(FreeOffset));
            _region.Write(OldUsedOffset, _region.Read<ushort>(UsedOffset));
        }
        _region.Write(FreeOffset, _region.Read<ushort>(OldFreeOffset));
        _region.Write(UsedOffset, _region.Read<ushort>(OldUsedOffset));
        // Free entries are not in flight. The bound protects against a hostile list.
        var entry = FreeEntry();
        for (var steps = 0; steps < _size && entry < _size; steps++)
        {
            _region.Write(Entry(entry), (byte)0);
            entry = _region.Read<ushort>(Entry(entry) + NextOffset);
        }
    }

    private ushort FreeEntry()
    {
        var entry = _region.Read<ushort>(FreeOffset);
        return entry < _size ? entry : None;
    }

    private static int Entry(int index) => HeaderBytes + EntryBytes * index;
}
