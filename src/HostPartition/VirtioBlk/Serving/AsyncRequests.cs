using VmShunt.HostPartition.Disk;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;
using VmShunt.Ring.Virtqueue;

namespace VmShunt.HostPartition.VirtioBlk.Serving;

/// <summary>
/// Plain reads and writes of one ring that are under way on the disk side by side. They end in any order; whatever is not
/// plain is not taken, and what does not end well is done once more by the disk itself, which says why. The queue's thread
/// owns it; nothing is allocated once a place has been used.
/// </summary>
internal sealed class AsyncRequests : IDisposable
{
    private const int Depth = 64;

    private readonly VirtioBlkDevice _device;
    private readonly VirtioBlkRequestProcessor _processor;
    private readonly SharedFlag _stop;
    private readonly CheckedIoQueue _queue;
    private readonly Place[] _places = new Place[Depth];
    private readonly int[] _free = [.. Enumerable.Range(0, Depth)];
    private int _freeCount = Depth;

    // What has ended and is not answered yet: as much as there was at once, whose writes one flush covers.
    private readonly (int At, long Bytes)[] _ended = new (int At, long Bytes)[Depth];
    private int _endedCount, _answered;
    private DiskStatus _written;

    private AsyncRequests(VirtioBlkDevice device, VirtioBlkRequestProcessor processor, SharedFlag stop, CheckedIoQueue queue)
    {
        (_device, _processor, _stop, _queue) = (device, processor, stop, queue);
    }

    /// <summary>Signalled when one has ended.</summary>
    internal EventFd Completed => _queue.Completed;

    /// <summary>Whether <see cref="TryFinish"/> would end one.</summary>
    internal bool HasEnded => _answered < _endedCount || _queue.HasEnded;

    internal bool IsEmpty => _queue.InFlight == 0 && _answered == _endedCount;

    /// <summary>Whether there is no place for another until one is answered.</summary>
    internal bool IsFull => _freeCount == 0;

    /// <summary>Whether so many are under way that the next one to end will not be long.</summary>
    internal bool IsDeep => _queue.InFlight >= Depth / 8;

    /// <returns>Null for a disk on which one request after another is as good, and for a driver that wants its buffers back in order.</returns>
    internal static AsyncRequests? TryOpen(VirtioBlkDevice device, VirtioBlkRequestProcessor processor, SharedFlag stop, bool isInOrder) =>
        !isInOrder && device.Disk.TryOpenQueue(Depth) is { } queue ? new AsyncRequests(device, processor, stop, queue) : null;

    /// <summary>Begins the request of a chain. Not when full.</summary>
    /// <returns>False: the chain is still the caller's.</returns>
    internal bool TryStart(DescriptorChain chain)
    {
        var at = _free[_freeCount - 1];
        ref var place = ref _places[at];
        place.Data ??= new IoVectors();
        if (!_processor.TryReadPlain(chain, place.Data, out place.Request)) return false;
        var started = place.Request.IsWrite ? _queue.TryWrite(place.Request.Sector, place.Data, at) : _queue.TryRead(place.Request.Sector, place.Data, at);
        if (!started) return false;
        place.Handle = chain.Handle;
        _freeCount--;
        return true;
    }

    /// <summary>Has the disk begin what was started, all at once.</summary>
    internal void Submit() => _queue.Submit();

    /// <summary>Ends one, if one is done: its status is written.</summary>
    internal bool TryFinish(out ChainHandle handle, out uint written)
    {
        (handle, written) = (default, 0);
        if (_answered == _endedCount && !TryReap()) return false;
        var (at, bytes) = _ended[_answered++];
        ref var place = ref _places[at];
        written = _processor.Answer(place.Request, Settle(ref place, bytes));
        handle = place.Handle;
        _free[_freeCount++] = at;
        return true;
    }

    /// <summary>Has <see cref="Completed"/> signalled, for a thread that is about to sleep.</summary>
    /// <returns>True when one is done already: do not sleep.</returns>
    internal bool Arm() => _queue.Arm();

    /// <summary>Has nothing signalled: the thread looks by itself.</summary>
    internal void Disarm() => _queue.Disarm();

    /// <summary>Has the disk begin what was started, and waits until one is done: one system call for both.</summary>
    internal void WaitForOne() => _queue.WaitForOne();

    /// <summary>Only when empty.</summary>
    public void Dispose() => _queue.Dispose();

    private bool TryReap()
    {
        _endedCount = _answered = 0;
        var wrote = false;
        while (_endedCount < Depth && _queue.TryReap(out var at, out var bytes))
        {
            _ended[_endedCount++] = (at, bytes);
            wrote |= _places[at].Request.IsWrite;
        }
        if (wrote) _written = _device.Disk.CompleteWrite();
        return _endedCount > 0;
    }

    private DiskStatus Settle(ref Place place, long bytes)
    {
        var request = place.Request;
        if (bytes == request.Bytes) return request.IsWrite ? _written : DiskStatus.Ok;
        return request.IsWrite ? _device.Disk.Write(request.Sector, place.Data, _stop) : _device.Disk.Read(request.Sector, place.Data);
    }

    private struct Place
    {
        internal IoVectors Data;
        internal PlainRequest Request;
        internal ChainHandle Handle;
    }
}
