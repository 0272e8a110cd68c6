using VmShunt.BlockDriver.Memory;
using VmShunt.BlockDriver.Requests;
using VmShunt.BlockDriver.Virtio;
using VmShunt.Ring.Memory;

namespace VmShunt.BlockDriver;

/// <summary>
/// One virtqueue for one thread, which describes requests, submits them and polls their completions: no task, no other
/// thread, no lock, no allocation. <see cref="BlockDisk.Queue"/> returns it.
/// </summary>
/// <remarks>
/// <para>The first thread that calls a method owns the queue; a call from another thread throws.</para>
/// <para>
/// Data is in rented buffers of the same disk (<see cref="BlockDisk.Rent"/>). One request is at most
/// <see cref="BlockDisk.MaxTransferBytes"/> long. Requests in flight at the same time complete in any order.
/// </para>
/// <para>
/// While the back-end is lost, the options decide. With <see cref="DisconnectPolicy.Resubmit"/>, requests in flight stay in
/// flight and are submitted again by <see cref="Poll"/> when the disk is connected again, and until then no more are accepted.
/// With <see cref="DisconnectPolicy.Fail"/>, all of them complete with <see cref="BlockStatus.Disconnected"/>.
/// </para>
/// </remarks>
/// <example>
/// <code>
/// using var buffer = disk.Rent(4096);
/// var queue = disk.Queue(0);
/// var completions = new Completion[16];
/// queue.TryRead(buffer.Memory, offset: 0, tag: 7);
/// queue.Submit();
/// while (queue.Poll(completions) == 0) queue.Wait(Timeout.InfiniteTimeSpan);
/// </code>
/// </example>
public sealed class BlockQueue
{
    private static readonly TimeSpan s_lostWait = TimeSpan.FromMilliseconds(10);

    private readonly BlockDisk _disk;
    private readonly int _number;
    private readonly QueueRequest[] _unused;
    private readonly SubmissionInbox _returned = new();
    private PolledQueue _ring;
    private BlockRequestList _completed, _again;
    private int _unusedCount;
    private bool _isUnpublished;
    private int _owner;

    internal BlockQueue(BlockDisk disk, int number, PolledQueue ring)
    {
        _disk = disk;
        _number = number;
        _ring = ring;
        Rejected = new RejectedRequests(this);
        _unused = [.. Enumerable.Range(0, ring.Capacity).Select(_ => new QueueRequest(this))];
        _unusedCount = _unused.Length;
    }

    /// <summary>The most requests in flight. The ring of a back-end may be full earlier.</summary>
    public int Capacity => _unused.Length;

    /// <summary>The requests that were accepted and not yet polled.</summary>
    public int InFlight => _unused.Length - _unusedCount;

    /// <summary>Takes requests that a lost back-end has not completed.</summary>
    internal IBlockDriver Rejected { get; }

    /// <summary>Describes a read; <see cref="Submit"/> submits it.</summary>
    /// <param name="destination">Memory of a rented buffer; the back-end's until the completion was polled. Its length is a multiple of the logical block size.</param>
    /// <param name="offset">The first byte on the disk, a multiple of the logical block size.</param>
    /// <param name="tag">Identifies the request in its completion.</param>
    /// <returns>False: the queue is full, or the back-end is lost. Poll, and try again.</returns>
    /// <exception cref="ArgumentException">The memory is not of a rented buffer, the range is not on the disk, or a number is not such a multiple.</exception>
    /// <exception cref="InvalidOperationException">Another thread owns the queue.</exception>
    /// <exception cref="ObjectDisposedException">The disk or the buffer was disposed.</exception>
    public bool TryRead(Memory<byte> destination, long offset, long tag = 0) => TryTransfer(BlockOperation.Read, destination, offset, tag);

    /// <summary>Describes a write; <see cref="Submit"/> submits it.</summary>
    /// <param name="source">Memory of a rented buffer, which must not change until the completion was polled. Its length is a multiple of the logical block size.</param>
    /// <param name="offset">The first byte on the disk, a multiple of the logical block size.</param>
    /// <param name="tag">Identifies the request in its completion.</param>
    /// <returns>False: the queue is full, or the back-end is lost. Poll, and try again.</returns>
    /// <exception cref="ArgumentException">The memory is not of a rented buffer, the range is not on the disk, or a number is not such a multiple.</exception>
    /// <exception cref="InvalidOperationException">Another thread owns the queue.</exception>
    /// <exception cref="NotSupportedException">The disk is read-only.</exception>
    /// <exception cref="ObjectDisposedException">The disk or the buffer was disposed.</exception>
    public bool TryWrite(ReadOnlyMemory<byte> source, long offset, long tag = 0) => TryTransfer(BlockOperation.Write, source, offset, tag);

    /// <summary>Describes a flush, which covers every write that completed before; <see cref="Submit"/> submits it.</summary>
    /// <param name="tag">Identifies the request in its completion.</param>
    /// <returns>False: the queue is full, or the back-end is lost. Poll, and try again.</returns>
    /// <exception cref="InvalidOperationException">Another thread owns the queue.</exception>
    /// <exception cref="ObjectDisposedException">The disk was disposed.</exception>
    public bool TryFlush(long tag = 0)
    {
        CheckCaller();
        return TryStart(BlockOperation.Flush, 0, 0, null, 0, tag);
    }

    /// <summary>Makes the described requests visible to the back-end, with at most one notification.</summary>
    /// <exception cref="InvalidOperationException">Another thread owns the queue.</exception>
    /// <exception cref="ObjectDisposedException">The disk was disposed.</exception>
    public void Submit()
    {
        CheckCaller();
        if (!_isUnpublished || !TryEnter()) return;
        Publish();
        _ring.Leave();
    }

    /// <summary>Takes completed requests. It does not block, and makes no system call while the back-end completes them.</summary>
    /// <param name="completions">Receives them.</param>
    /// <returns>How many.</returns>
    /// <exception cref="InvalidOperationException">Another thread owns the queue.</exception>
    /// <exception cref="ObjectDisposedException">The disk was disposed.</exception>
    public int Poll(Span<Completion> completions)
    {
        CheckCaller();
        var count = 0;
        string? loss = null;
        if (TryEnter())
        {
            while (count < completions.Length && _ring.TakeCompleted(out var status) is { } request) completions[count++] = Finish((QueueRequest)request, status);
            if (count == 0) loss = _ring.FindLoss();
            if (!_again.IsEmpty) AddAgain();
            _ring.Leave();
        }
        // Outside: the thread that closes the ring waits for this one to leave.
        if (loss is not null) _ring.ReportLoss(loss);
        if (_returned.HasMore) SortReturned();
        while (count < completions.Length && _completed.TakeFirst() is QueueRequest request) completions[count++] = Finish(request, request.Status ?? BlockStatus.Disconnected);
        return count;
    }

    /// <summary>Blocks until <see cref="Poll"/> may find something, or the time is over. It may return early: poll in a loop.</summary>
    /// <param name="timeout">How long at most; <see cref="Timeout.InfiniteTimeSpan"/>: no limit.</param>
    /// <returns>False if the time is over, or the back-end is lost.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The time is negative or too long.</exception>
    /// <exception cref="InvalidOperationException">Another thread owns the queue.</exception>
    /// <exception cref="ObjectDisposedException">The disk was disposed, perhaps during the wait.</exception>
    public bool Wait(TimeSpan timeout)
    {
        if (timeout != Timeout.InfiniteTimeSpan)
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(timeout, TimeSpan.Zero);
            ArgumentOutOfRangeException.ThrowIfGreaterThan(timeout.TotalMilliseconds, int.MaxValue, nameof(timeout));
        }
        CheckCaller();
        if (_returned.HasMore || !_completed.IsEmpty) return true;
        var isReady = false;
        if (TryEnter())
        {
            isReady = _ring.Sleep(timeout);
            _ring.Leave();
        }
        else
        {
            // The disk tries to reconnect in such intervals.
            Thread.Sleep(timeout < s_lostWait && timeout >= TimeSpan.Zero ? timeout : s_lostWait);
        }
        _disk.ThrowIfDisposed();
        return isReady;
    }

    /// <summary>Any thread: a request that is not on a ring any more.</summary>
    internal void Return(QueueRequest request) => _returned.TryPush(request);

    private bool TryTransfer(BlockOperation operation, ReadOnlyMemory<byte> data, long offset, long tag)
    {
        CheckCaller();
        var geometry = _disk.CheckRequest(operation, offset, data.Length);
        if (data.Length > geometry.MaxTransferBytes)
            throw new ArgumentException($"{data.Length:n0} bytes are more than one request can transfer; split it into requests of at most BlockDisk.MaxTransferBytes ({geometry.MaxTransferBytes:n0})", nameof(data));
        if (!_disk.Buffers.TryHold(data, out var buffer, out var address))
            throw new ArgumentException("the memory is not of a buffer that BlockDisk.Rent of this disk returned; rent one, or use the awaited methods, which copy", nameof(data));
        if (TryStart(operation, (ulong)offset / DiskGeometry.SectorBytes, data.Length, buffer, address, tag)) return true;
        buffer!.Release();
        return false;
    }

    private bool TryStart(BlockOperation operation, ulong sector, int bytes, PooledBuffer? buffer, ulong address, long tag)
    {
        if (_unusedCount == 0) return false;
        var request = _unused[_unusedCount - 1];
        request.Begin(operation, sector, bytes, buffer, address, tag);
        if (_disk.StatusWithoutDevice(operation) is { } status)
        {
            request.Status = status;
            _completed.Add(request);
        }
        else if (TryEnter())
        {
            var isAdded = _ring.TryAdd(request);
            _ring.Leave();
            if (!isAdded) return false;
            _isUnpublished = true;
        }
        else if (_disk.FailsWhileLost)
        {
            _completed.Add(request);
        }
        else
        {
            return false;
        }
        _unusedCount--;
        return true;
    }

    /// <returns>False: the back-end is lost.</returns>
    private bool TryEnter()
    {
        if (_ring.TryEnter()) return true;
        var ring = _disk.RingOf(_number);
        if (ReferenceEquals(ring, _ring)) return false;
        _ring = ring;
        return ring.TryEnter();
    }

    private void Publish()
    {
        _isUnpublished = false;
        _ring.Publish();
    }

    // Inside.
    private void AddAgain()
    {
        while (_again.TakeFirst() is QueueRequest request)
        {
            request.BeginAgain();
            if (!_ring.TryAdd(request))
            {
                _again.AddFirst(request);
                break;
            }
            _isUnpublished = true;
        }
        if (_isUnpublished) Publish();
    }

    private void SortReturned()
    {
        var next = _returned.TakeAll();
        while (next is QueueRequest request)
        {
            next = request.Next;
            request.Next = null;
            if (request.Status is null && !_disk.FailsWhileLost) _again.Add(request);
            else _completed.Add(request);
        }
    }

    private Completion Finish(QueueRequest request, BlockStatus status)
    {
        request.ReleaseBuffer();
        _unused[_unusedCount++] = request;
        return new Completion(request.Tag, status);
    }

    private void CheckCaller()
    {
        var caller = Environment.CurrentManagedThreadId;
        if (Ordered.Load(ref _owner) != caller) Own(caller);
        _disk.ThrowIfDisposed();
    }

    private void Own(int caller)
    {
        var owner = Interlocked.CompareExchange(ref _owner, caller, 0);
        if (owner != 0)
            throw new InvalidOperationException($"thread {owner} owns queue {_number}, and thread {caller} called it; give each thread a queue of its own (BlockDiskOptions.PolledQueues)");
    }

    private sealed class RejectedRequests(BlockQueue queue) : IBlockDriver
    {
        public DiskGeometry Geometry => queue._disk.Geometry;

        public void Submit(BlockRequest request)
        {
            var rejected = (QueueRequest)request;
            if (queue._disk.IsDisposed) rejected.ReleaseBuffer();
            queue.Return(rejected);
        }
    }
}
