using System.Runtime.CompilerServices;
using VmShunt.Ring.Memory;

namespace VmShunt.Ring.Virtqueue;

/// <summary>The driver's side of a split virtqueue (virtio 1.3 §2.7).</summary>
public struct SplitDriverQueue : IDriverQueue
{
    private const ushort NotInFlight = ushort.MaxValue;

    // Rings of at least LeastSize entries describe the first ShallowRequests requests without an indirect table.
    private const int SlotsPerRequest = 3, ShallowRequests = 8, LeastSize = 64;

    private readonly SplitAreas _areas;
    private readonly int _size;
    private readonly bool _eventIndex;
    private readonly MemoryWindow _tables;
    private readonly ulong _tablesAddress;
    private readonly int _tableBytes;
    private readonly int _shallow;

    // The driver's own state, which the device cannot change: the free list, and the slots and token of each chain.
    private readonly ushort[] _next;
    private readonly ushort[] _slots;
    private readonly ushort[] _tokens;
    private readonly ushort[] _heads;

    private ushort _firstFree;
    private int _freeSlots;
    private ushort _nextAvailable;
    private ushort _kickedAvailable;
    private ushort _nextUsed;
    private ushort _knownUsed;

    /// <summary>Initializes a ring.</summary>
    /// <param name="areas">The ring's areas.</param>
    /// <param name="size">A valid split queue size.</param>
    /// <param name="eventIndex">VIRTIO_F_EVENT_IDX was negotiated.</param>
    /// <param name="tables">Memory for one indirect table per slot, or an empty window.</param>
    /// <param name="tablesAddress">The guest-physical address of <paramref name="tables"/>.</param>
    public SplitDriverQueue(SplitAreas areas, int size, bool eventIndex, MemoryWindow tables = default, ulong tablesAddress = 0)
    {
        if (!SplitLayout.IsValidSize(size)) throw new ArgumentOutOfRangeException(nameof(size), size, "a split queue's size is a power of two");
        _areas = areas;
        _size = size;
        _eventIndex = eventIndex;
        _tables = tables;
        _tablesAddress = tablesAddress;
        _tableBytes = tables.Length / size / SplitDescriptor.Bytes * SplitDescriptor.Bytes;
        _shallow = size < LeastSize ? 0 : ShallowRequests;
        _next = new ushort[size];
        _slots = new ushort[size];
        _tokens = new ushort[size];
        _heads = new ushort[size];
        for (var i = 0; i < size; i++)
        {
            _next[i] = (ushort)(i + 1);
            _tokens[i] = NotInFlight;
        }
        _freeSlots = size;
        areas.Descriptors.Span.Clear();
        areas.Available.Span.Clear();
        areas.Used.Span.Clear();
    }

    /// <inheritdoc/>
    public readonly int Capacity => HasTables ? _size - _shallow * (SlotsPerRequest - 1) : _size / SlotsPerRequest;

    /// <inheritdoc/>
    public int InFlight { get; private set; }

    /// <inheritdoc/>
    public string? Fault { get; private set; }

    private readonly bool HasTables => _tableBytes >= 3 * SplitDescriptor.Bytes;

    /// <inheritdoc/>
    public bool TryAdd(ReadOnlySpan<QueueBuffer> buffers, int readable, ushort token)
    {
        ArgumentOutOfRangeException.ThrowIfEqual(token, NotInFlight);
        ArgumentOutOfRangeException.ThrowIfZero(buffers.Length);
        if (Fault is not null) return false;
        // A table costs the device one more cache line. It saves slots, which are scarce only at depth.
        var indirect = buffers.Length > 1 && InFlight >= _shallow && buffers.Length * SplitDescriptor.Bytes <= _tableBytes;
        var slots = indirect ? 1 : buffers.Length;
        if (slots > _freeSlots) return false;

        var head = _firstFree;
        _firstFree = indirect ? AddIndirect(head, buffers, readable) : AddDirect(head, buffers, readable);
        _freeSlots -= slots;
        _slots[head] = (ushort)slots;
        _tokens[head] = token;
        InFlight++;
        // Written to the ring on publish: the device polls that cache line, and would steal it in between.
        _heads[_nextAvailable & (_size - 1)] = head;
        _nextAvailable++;
        return true;
    }

    /// <inheritdoc/>
    public bool Publish()
    {
        for (var i = _kickedAvailable; i != _nextAvailable; i++)
        {
            var at = i & (_size - 1);
            _areas.Available.Write(SplitLayout.Ring + sizeof(ushort) * at, _heads[at]);
        }
        // Release: descriptors and ring entries are visible before the index that announces them.
        _areas.Available.WriteUInt16Release(SplitLayout.Index, _nextAvailable);
        // The index must be visible before the suppression word is read; otherwise a device that arms now is not kicked.
        Fence.StoreBeforeLoad();
        var before = _kickedAvailable;
        _kickedAvailable = _nextAvailable;
        return _eventIndex
            ? SplitLayout.NeedsEvent(_areas.Used.Read<ushort>(SplitLayout.AvailableEvent(_size)), _nextAvailable, before)
            : (_areas.Used.Read<ushort>(0) & SplitLayout.NoNotify) == 0 && before != _nextAvailable;
    }

    /// <inheritdoc/>
    public PopResult TryPopUsed(out ushort token, out uint written)
    {
        token = 0;
        written = 0;
        if (_nextUsed == _knownUsed)
        {
            if (Fault is not null) return PopResult.Broken;
            // Acquire: entries, data and status are read after the index that announces them.
            _knownUsed = _areas.Used.ReadUInt16Acquire(SplitLayout.Index);
            var ahead = (ushort)(_knownUsed - _nextUsed);
            if (ahead == 0)
            {
                // The next entry may be on another cache line than the index.
                _areas.Used.Prefetch(SplitLayout.Ring + 8 * (_nextUsed & (_size - 1)));
                return PopResult.Empty;
            }
            if (ahead > InFlight) return Break("the used index is ahead by more than the requests in flight");
        }

        var element = _areas.Used.Read<ulong>(SplitLayout.Ring + 8 * (_nextUsed & (_size - 1)));
        var head = (uint)element;
        if (head >= _size || _tokens[head] == NotInFlight) return Break("the device returned a chain that is not in flight");
        token = _tokens[head];
        written = (uint)(element >> 32);
        Free((ushort)head);
        _nextUsed++;
        InFlight--;
        return PopResult.Popped;
    }

    /// <inheritdoc/>
    public readonly bool Arm()
    {
        if (_eventIndex) _areas.Available.WriteUInt16Release(SplitLayout.UsedEvent(_size), _nextUsed);
        else _areas.Available.WriteUInt16Release(0, 0);
        // The event must be visible before the index is read again; otherwise both sides block.
        Fence.StoreBeforeLoad();
        return _areas.Used.ReadUInt16Acquire(SplitLayout.Index) != _nextUsed;
    }

    /// <inheritdoc/>
    public readonly void Disarm()
    {
        // With EVENT_IDX the device has already passed the old used_event: nothing to write.
        if (!_eventIndex) _areas.Available.WriteUInt16Release(0, SplitLayout.NoInterrupt);
    }

    private readonly ushort AddDirect(ushort head, ReadOnlySpan<QueueBuffer> buffers, int readable)
    {
        var slot = head;
        for (var i = 0; i < buffers.Length; i++)
        {
            var last = i == buffers.Length - 1;
            Describe(_areas.Descriptors, SplitDescriptor.Bytes * slot, new SplitDescriptor
            {
                Address = buffers[i].Address,
                Length = buffers[i].Length,
                Flags = (i < readable ? 0 : DescriptorFlags.Write) | (last ? 0 : DescriptorFlags.Next),
                Next = last ? (ushort)0 : _next[slot],
            });
            slot = _next[slot];
        }
        return slot;
    }

    private readonly ushort AddIndirect(ushort head, ReadOnlySpan<QueueBuffer> buffers, int readable)
    {
        var table = _tableBytes * head;
        for (var i = 0; i < buffers.Length; i++)
        {
            var last = i == buffers.Length - 1;
            Describe(_tables, table + SplitDescriptor.Bytes * i, new SplitDescriptor
            {
                Address = buffers[i].Address,
                Length = buffers[i].Length,
                Flags = (i < readable ? 0 : DescriptorFlags.Write) | (last ? 0 : DescriptorFlags.Next),
                Next = last ? (ushort)0 : (ushort)(i + 1),
            });
        }
        Describe(_areas.Descriptors, SplitDescriptor.Bytes * head, new SplitDescriptor
        {
            Address = _tablesAddress + (ulong)table,
            Length = (uint)(SplitDescriptor.Bytes * buffers.Length),
            Flags = DescriptorFlags.Indirect,
        });
        return _next[head];
    }

    // An equal descriptor is not written again, so its cache line stays with the device.
    private static void Describe(MemoryWindow area, int offset, SplitDescriptor descriptor)
    {
        var wanted = Unsafe.BitCast<SplitDescriptor, UInt128>(descriptor);
        if (area.Read<UInt128>(offset) != wanted) area.Write(offset, wanted);
    }

    private void Free(ushort head)
    {
        var tail = head;
        for (var i = 1; i < _slots[head]; i++) tail = _next[tail];
        _next[tail] = _firstFree;
        _firstFree = head;
        _freeSlots += _slots[head];
        _tokens[head] = NotInFlight;
    }

    private PopResult Break(string fault)
    {
        Fault = fault;
        _knownUsed = _nextUsed;
        return PopResult.Broken;
    }
}
