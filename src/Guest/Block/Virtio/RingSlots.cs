using VmShunt.BlockDriver.Memory;
using VmShunt.BlockDriver.Requests;
using VmShunt.Ring.Memory;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Ring.Virtqueue;

namespace VmShunt.BlockDriver.Virtio;

/// <summary>
/// The requests of a queue that are in flight, and the guest memory that each needs besides its data: header, status, and
/// the range of a discard. One thread.
/// </summary>
internal sealed class RingSlots
{
    // One cache line per request: the device reads the header and writes the status in the same line.
    private const int Stride = 64;
    private const int HeaderOffset = 0, RangeOffset = 16, StatusOffset = 32;
    private const byte NoStatus = 0xFF;

    /// <summary>The maximum number of buffers per request.</summary>
    internal const int MaxBuffers = 3;

    private readonly BlockRequest?[] _requests;
    private readonly ushort[] _free;
    private readonly MemoryWindow _window;
    private readonly ulong _address;
    private int _freeCount;
    private int _latest;

    internal RingSlots(int count, GuestBuffer memory)
    {
        _requests = new BlockRequest[count];
        _free = new ushort[count];
        for (var i = 0; i < count; i++) _free[i] = (ushort)(count - 1 - i);
        _freeCount = count;
        _window = memory.Window;
        _address = memory.Address;
    }

    internal static int RequiredBytes(int count) => count * Stride;

    internal bool HasFree => _freeCount > 0;

    /// <summary>Writes a request's header and describes it as buffers for the ring.</summary>
    /// <returns>The slot, the number of buffers, and how many of them are device-readable.</returns>
    internal (ushort Slot, int Count, int Readable) Prepare(BlockRequest request, Span<QueueBuffer> buffers)
    {
        var slot = _free[--_freeCount];
        _requests[slot] = request;
        var at = slot * Stride;
        _latest = at;
        _window.Write(at + HeaderOffset, new VirtioBlkRequestHeader { Type = TypeOf(request), Sector = SectorOf(request) });
        _window.Write(at + StatusOffset, NoStatus);
        buffers[0] = new QueueBuffer(_address + (ulong)(at + HeaderOffset), VirtioBlkRequestHeader.Bytes);
        var status = new QueueBuffer(_address + (ulong)(at + StatusOffset), 1);
        switch (request.Operation)
        {
            case BlockOperation.Read:
                buffers[1] = new QueueBuffer(request.Address, (uint)request.Bytes);
                buffers[2] = status;
                return (slot, 3, 1);
            case BlockOperation.Write:
                buffers[1] = new QueueBuffer(request.Address, (uint)request.Bytes);
                buffers[2] = status;
                return (slot, 3, 2);
            case BlockOperation.Discard or BlockOperation.WriteZeroes:
                _window.Write(at + RangeOffset, new VirtioBlkRange { Sector = request.Sector, SectorCount = (uint)(request.Bytes / DiskGeometry.SectorBytes) });
                buffers[1] = new QueueBuffer(_address + (ulong)(at + RangeOffset), VirtioBlkRange.Bytes);
                buffers[2] = status;
                return (slot, 3, 2);
            default:
                buffers[1] = status;
                return (slot, 2, 1);
        }
    }

    /// <summary>Prefetches the latest request's status, for use when it is the only one in flight.</summary>
    internal void ExpectStatus() => _window.Prefetch(_latest + StatusOffset);

    /// <summary>Frees the slot of a completed request and reads the status.</summary>
    internal BlockRequest Take(ushort slot, out BlockStatus status)
    {
        status = (VirtioBlkStatus)_window.Read<byte>(slot * Stride + StatusOffset) switch
        {
            VirtioBlkStatus.Ok => BlockStatus.Ok,
            VirtioBlkStatus.Unsupported => BlockStatus.Unsupported,
            _ => BlockStatus.IoError,
        };
        return Release(slot);
    }

    /// <summary>Frees a slot.</summary>
    internal BlockRequest Release(ushort slot)
    {
        var request = _requests[slot]!;
        _requests[slot] = null;
        _free[_freeCount++] = slot;
        return request;
    }

    /// <summary>Frees all slots, after the device was lost.</summary>
    internal IEnumerable<BlockRequest> TakeAll()
    {
        for (ushort slot = 0; slot < _requests.Length; slot++)
        {
            if (_requests[slot] is not null) yield return Release(slot);
        }
    }

    private static ulong SectorOf(BlockRequest request) =>
        request.Operation is BlockOperation.Read or BlockOperation.Write ? request.Sector : 0;

    private static VirtioBlkRequestType TypeOf(BlockRequest request) => request.Operation switch
    {
        BlockOperation.Read when request.ReadsSerial => VirtioBlkRequestType.GetId,
        BlockOperation.Read => VirtioBlkRequestType.In,
        BlockOperation.Write => VirtioBlkRequestType.Out,
        BlockOperation.Flush => VirtioBlkRequestType.Flush,
        BlockOperation.Discard => VirtioBlkRequestType.Discard,
        _ => VirtioBlkRequestType.WriteZeroes,
    };
}
