using VmShunt.Ring.Memory;

namespace VmShunt.Ring.Virtqueue;

/// <summary>
/// The record of a split ring's chains in flight (vhost-user, "Inflight I/O tracking", <c>QueueRegionSplit</c>). The memory
/// outlives the back-end process: the next one processes the chains again. Its content is not trusted. Only the thread that
/// owns the queue uses it.
/// </summary>
internal sealed class SplitInflight
{
    private const int VersionOffset = 8, SizeOffset = 10, LastBatchOffset = 12, UsedOffset = 14, HeaderBytes = 16;
    private const int EntryBytes = 16, NextOffset = 6, CounterOffset = 8;
    private const ushort Version = 1;

    private readonly MemoryWindow _region;
    private readonly ushort[] _batch;
    private readonly ushort[] _resubmit;
    private int _batchCount;
    private int _resubmitted;
    private ulong _counter;

    /// <param name="region">At least <see cref="RequiredBytes"/>; zeros for a new ring.</param>
    /// <param name="size">The ring's size.</param>
    /// <param name="used">The ring's used index.</param>
    internal SplitInflight(MemoryWindow region, int size, ushort used)
    {
        _region = region;
        _batch = new ushort[size];
        if (region.Read<ushort>(VersionOffset) != Version || region.Read<ushort>(SizeOffset) != size)
        {
            region.Span[..RequiredBytes(size)].Clear();
            region.Write(SizeOffset, (ushort)size);
            region.Write(UsedOffset, used);
            region.WriteUInt16Release(VersionOffset, Version);
        }
        else
        {
            FinishLastBatch(size, used);
        }
        _resubmit = [.. Enumerable.Range(0, size).Where(i => region.Read<byte>(Entry(i)) == 1)
            .OrderBy(i => region.Read<ulong>(Entry(i) + CounterOffset)).Select(i => (ushort)i)];
        _counter = _resubmit.Length == 0 ? 0 : region.Read<ulong>(Entry(_resubmit[^1]) + CounterOffset) + 1;
    }

    /// <summary>Chains of the previous process that this one has not yet popped again.</summary>
    internal int Pending => _resubmit.Length - _resubmitted;

    internal static int RequiredBytes(int size) => HeaderBytes + EntryBytes * size;

    /// <summary>The oldest of <see cref="Pending"/>, which is recorded as in flight already.</summary>
    internal ushort PopPending() => _resubmit[_resubmitted++];

    /// <summary>A chain is in flight. Called before it is processed.</summary>
    internal void Popped(ushort head)
    {
        _region.Write(Entry(head) + CounterOffset, _counter++);
        _region.WriteUInt16Release(Entry(head), 1);
    }

    /// <summary>A chain was not processed: it is available, not in flight.</summary>
    internal void Unpopped(ushort head) => _region.WriteUInt16Release(Entry(head), 0);

    /// <summary>A chain is written to the used ring and not yet published.</summary>
    internal void Returned(ushort head)
    {
        // A driver that offers one head twice could exceed the batch; the rest is not recorded.
        if (_batchCount == _batch.Length) return;
        _batch[_batchCount++] = head;
        _region.Write(Entry(head) + NextOffset, _region.Read<ushort>(LastBatchOffset));
        _region.WriteUInt16Release(LastBatchOffset, head);
    }

    /// <summary>The returned chains are published.</summary>
    internal void Published(ushort used)
    {
        for (var i = 0; i < _batchCount; i++) _region.WriteUInt16Release(Entry(_batch[i]), 0);
        _batchCount = 0;
        _region.WriteUInt16Release(UsedOffset, used);
    }

    // The previous process may have died between the publish of a batch and its record.
    private void FinishLastBatch(int size, ushort used)
    {
        var count = Math.Min((ushort)(used - _region.Read<ushort>(UsedOffset)), size);
        var head = _region.Read<ushort>(LastBatchOffset);
        for (; count > 0 && head < size; count--)
        {
            _region.Write(Entry(head), (byte)0);
            head = _region.Read<ushort>(Entry(head) + NextOffset);
        }
        _region.WriteUInt16Release(UsedOffset, used);
    }

    private static int Entry(int head) => HeaderBytes + EntryBytes * head;
}
