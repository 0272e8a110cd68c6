using VmShunt.BlockDriver.Memory;
using VmShunt.BlockDriver.Requests;
using VmShunt.Ring.Memory;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Ring.Virtqueue;

namespace VmShunt.BlockDriver.Virtio;

/// <summary>
/// The requests that a queue has given to the device, and the guest memory that each needs beside its data: header,
/// status, and a range for discards. One thread.
/// </summary>
internal sealed class RingSlots
{
    // A cache line a request: it goes to the device with the header and comes back with the status.
    private const int Stride = 64;
    private const int HeaderOffset = 0, RangeOffset = 16, StatusOffset = 32;
    private const byte NoStatus = 0xFF;

    /// <summary>The most buffers of a request.</summary>
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
    /// <returns>The slot; the number of buffers, and how many of them the device reads.</returns>
    internal (ushort Slot, int Count, int Readable) Prepare(BlockRequest request, Span<QueueBuffer> buffers)
    {
        var slot = _free[--_freeCount];
        _requests[slot] = request;
        var at = slot * Stride;
        _latest = at;
        _window.Write(at + HeaderOffset, new VirtioBlkRequestHeader { Type = TypeOf(request.Operation), Sector = SectorOf(request) });
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
                _window.Write(at + RangeOffset, new VirtioBlkRange { Sector = request.Sector, SectorCount = (uint)(request.Bytes / DiskClassDriver.SectorBytes) });
                buffers[1] = new QueueBuffer(_address + (ulong)(at + RangeOffset), VirtioBlkRange.Bytes);
                buffers[2] = status;
                return (slot, 3, 2);
            default:
                buffers[1] = status;
                return (slot, 2, 1);
        }
    }

    /// <summary>Has the status of the latest request come along with the ring's own line, where it is the only one in flight.</summary>
    internal void ExpectStatus() => _window.Prefetch(_latest + StatusOffset);

    /// <summary>Takes the request of a slot out and says how it ended.</summary>
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

    /// <summary>Takes back a slot whose request did not get into the ring.</summary>
    internal BlockRequest Release(ushort slot)
    {
        var request = _requests[slot]!;
        _requests[slot] = null;
        _free[_freeCount++] = slot;
        return request;
    }

    /// <summary>Takes out all requests, of a device that will answer no more.</summary>
    internal IEnumerable<BlockRequest> TakeAll()
    {
        for (ushort slot = 0; slot < _requests.Length; slot++)
        {
            if (_requests[slot] is not null) yield return Release(slot);
        }
    }

    private static ulong SectorOf(BlockRequest request) =>
        request.Operation is BlockOperation.Read or BlockOperation.Write ? request.Sector : 0;

    private static VirtioBlkRequestType TypeOf(BlockOperation operation) => operation switch
    {
        BlockOperation.Read => VirtioBlkRequestType.In,
        BlockOperation.Write => VirtioBlkRequestType.Out,
        BlockOperation.Flush => VirtioBlkRequestType.Flush,
        BlockOperation.Discard => VirtioBlkRequestType.Discard,
        _ => VirtioBlkRequestType.WriteZeroes,
    };
}
