using VmShunt.BlockBackend.Disk;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;
using VmShunt.Ring.Virtqueue;

namespace VmShunt.BlockBackend.VirtioBlk.Serving;

/// <summary>
/// Concurrent reads and writes of one ring. They complete in any order. Other requests are rejected. One that failed or was
/// short is repeated through the disk, which returns the error, unless the queue reports it. Owned by the queue's thread; allocates at a slot's first
/// use only.
/// </summary>
internal sealed class AsyncRequests : IDisposable
{
    private const int Depth = 64;

    private readonly VirtioBlkDevice _device;
    private readonly VirtioBlkRequestProcessor _processor;
    private readonly DeviceCalls? _calls;
    private readonly CheckedIoQueue _queue;
    private readonly Slot[] _slots = new Slot[Depth];
    private readonly int[] _free = [.. Enumerable.Range(0, Depth)];
    private int _freeCount = Depth;

    // A batch of reaped completions. One flush covers all writes in it where the write cache is off.
    private readonly (int Slot, long Bytes)[] _reaped = new (int Slot, long Bytes)[Depth];
    private int _reapedCount, _completed;
    private DiskStatus _writeStatus;

    private AsyncRequests(VirtioBlkDevice device, VirtioBlkRequestProcessor processor, DeviceCalls? calls, CheckedIoQueue queue)
    {
        (_device, _processor, _calls, _queue) = (device, processor, calls, queue);
    }

    /// <summary>Signalled at a completion while armed.</summary>
    internal EventFd Completed => _queue.Completed;

    /// <summary>Whether <see cref="TryComplete"/> would complete a request.</summary>
    internal bool HasCompletion => _completed < _reapedCount || _queue.HasCompletion;

    internal bool IsEmpty => _queue.InFlight == 0 && _completed == _reapedCount;

    /// <summary>Whether no slot is free.</summary>
    internal bool IsFull => _freeCount == 0;

    /// <summary>Whether so many requests are in flight that one completes soon.</summary>
    internal bool IsDeep => _queue.CompletesSoon && _queue.InFlight >= Depth / 8;

    /// <returns>Null where concurrency gains nothing, and for a driver that negotiated IN_ORDER.</returns>
    internal static AsyncRequests? TryOpen(VirtioBlkDevice device, VirtioBlkRequestProcessor processor, DeviceCalls? calls, GuestMemory memory, bool isInOrder) =>
        !isInOrder && device.Disk.TryOpenQueue(Depth, memory) is { } queue ? new AsyncRequests(device, processor, calls, queue) : null;

    /// <summary>Queues the request of a chain. Not when full.</summary>
    /// <returns>False: the caller executes the chain.</returns>
    internal bool TryQueue(DescriptorChain chain)
    {
        var index = _free[_freeCount - 1];
        ref var slot = ref _slots[index];
        slot.Data ??= new IoVectors();
        if (!_processor.TryDecodePlain(chain, slot.Data, out slot.Request)) return false;
        var isQueued = slot.Request.IsWrite ? _queue.TryWrite(slot.Request.Sector, slot.Data, index) : _queue.TryRead(slot.Request.Sector, slot.Data, index);
        if (!isQueued) return false;
        slot.Handle = chain.Handle;
        _freeCount--;
        return true;
    }

    /// <summary>Submits the queued requests to the disk, in one batch.</summary>
    internal void Submit() => _queue.Submit();

    /// <summary>Writes the status of a completed request, if there is one, and was not abandoned on the way.</summary>
    internal bool TryComplete(out ChainHandle handle, out uint written)
    {
        (handle, written) = (default, 0);
        if (_completed == _reapedCount && !TryReap()) return false;
        var (index, bytes) = _reaped[_completed++];
        ref var slot = ref _slots[index];
        var status = StatusOf(index, ref slot, bytes);
        if (_calls?.IsAbandoned == true) return false;
        written = _processor.Complete(slot.Request, status);
        handle = slot.Handle;
        _free[_freeCount++] = index;
        return true;
    }

    /// <summary>Enables signals on <see cref="Completed"/>; called before blocking.</summary>
    /// <returns>True when there is a completion already: do not block.</returns>
    internal bool Arm() => _queue.Arm();

    /// <summary>Disables signals: the thread polls.</summary>
    internal void Disarm() => _queue.Disarm();

    /// <summary>Submits the queued requests and blocks until one completes, in one system call.</summary>
    /// <returns>False when the ring was abandoned.</returns>
    internal bool WaitForCompletion()
    {
        _calls?.Enter();
        _queue.WaitForCompletion();
        return _calls?.TryLeave() != false;
    }

    /// <summary>Waits until the disk has completed all requests of an abandoned ring, and drops their results.</summary>
    internal void Discard()
    {
        _queue.Submit();
        while (_queue.InFlight > 0)
        {
            _queue.WaitForCompletion();
            while (_queue.TryReap(out _, out _))
            {
                // Nothing is returned to the ring.
            }
        }
    }

    /// <inheritdoc cref="AsyncIoQueue.BeginDrain"/>
    internal void BeginDrain() => _queue.BeginDrain();

    /// <summary>Only when empty.</summary>
    public void Dispose() => _queue.Dispose();

    private bool TryReap()
    {
        _reapedCount = _completed = 0;
        var hasWrites = false;
        while (_reapedCount < Depth && _queue.TryReap(out var index, out var bytes))
        {
            _reaped[_reapedCount++] = (index, bytes);
            hasWrites |= _slots[index].Request.IsWrite;
        }
        if (!hasWrites) return _reapedCount > 0;
        _calls?.Enter();
        _writeStatus = _device.Disk.CompleteWrite();
        return _calls?.TryLeave() != false;
    }

    private DiskStatus StatusOf(int index, ref Slot slot, long bytes)
    {
        var request = slot.Request;
        if (bytes == request.Bytes) return request.IsWrite ? _writeStatus : DiskStatus.Ok;
        if (_queue.StatusOf(index) is { } failed) return failed;
        return request.IsWrite ? _processor.Write(request.Sector, slot.Data) : _processor.Read(request.Sector, slot.Data);
    }

    private struct Slot
    {
        internal IoVectors Data;
        internal PlainRequest Request;
        internal ChainHandle Handle;
    }
}
