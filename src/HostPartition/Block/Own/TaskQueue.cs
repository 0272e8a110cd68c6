using VmShunt.BlockBackend.Disk;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;

namespace VmShunt.BlockBackend.Own;

/// <summary>
/// The requests of one ring on an <see cref="AsyncBlockDevice"/>. The ring's thread starts and reaps them; they complete on
/// any thread. After <see cref="BeginDrain"/> a request that does not complete in time is failed, and the guest's memory stays
/// mapped until it does.
/// </summary>
internal sealed class TaskQueue : AsyncIoQueue
{
    private readonly TaskPort _port;

    // A reference of its own to the mapped regions.
    private readonly GuestMemory _memory;
    private readonly CancellationTokenSource _cancel = new();
    private readonly TaskRequest[] _requests;
    private readonly Lock _lock = new();
    private readonly int[] _completed;
    private int _first, _count, _late;
    private bool _armed, _closed;
    private long _deadline = long.MaxValue;
    private int _inFlight;

    internal TaskQueue(TaskPort port, int depth, GuestMemory memory)
    {
        _port = port;
        _memory = new GuestMemory(memory.Regions);
        _requests = new TaskRequest[depth];
        _completed = new int[depth];
    }

    internal override EventFd Completed { get; } = EventFd.Create();

    internal override bool HasCompletion
    {
        get
        {
            lock (_lock) return _count > 0;
        }
    }

    internal override int InFlight => _inFlight;

    // It may take seconds, in which the ring's thread serves its driver.
    internal override bool CompletesSoon => false;

    internal TaskPort Port => _port;

    internal CancellationToken Cancellation => _cancel.Token;

    internal override bool TryRead(IoVectors target, long offset, int token) => TryStart(target, offset, token, isWrite: false);

    internal override bool TryWrite(IoVectors source, long offset, int token) => TryStart(source, offset, token, isWrite: true);

    internal override void Submit()
    {
        // A request starts when it is queued.
    }

    internal override bool TryReap(out int token, out long bytes)
    {
        lock (_lock)
        {
            (token, bytes) = (0, 0);
            if (_count == 0) return false;
            token = _completed[_first];
            _first = (_first + 1) % _completed.Length;
            _count--;
        }
        _inFlight--;
        bytes = _requests[token].Transferred;
        return true;
    }

    internal override IOException? FailureOf(int token) => _requests[token].Failure;

    internal override bool Arm()
    {
        lock (_lock)
        {
            _armed = true;
            return _count > 0;
        }
    }

    internal override void Disarm()
    {
        lock (_lock) _armed = false;
    }

    internal override void WaitForCompletion()
    {
        using var wait = new WaitSet(Completed.Handle);
        if (!Arm() && !wait.Wait(RemainingMilliseconds())) FailOutstanding();
        Disarm();
        Completed.TryDrain();
    }

    internal override void BeginDrain()
    {
        if (_deadline != long.MaxValue) return;
        _deadline = Environment.TickCount64 + (long)_port.DrainTimeout.TotalMilliseconds;
        // On another thread: callbacks are the disk's, and may block or throw.
        _ = _cancel.CancelAsync();
    }

    /// <summary>Queues a completion. Any thread.</summary>
    internal void Complete(TaskRequest request, IOException? failure)
    {
        lock (_lock)
        {
            if (request.IsOverdue)
            {
                // It was failed already, and its memory kept for it.
                _late--;
                if (_closed && _late == 0) _memory.Dispose();
                return;
            }
            request.SetResult(failure);
            Push(request);
        }
    }

    public override void Dispose()
    {
        foreach (var request in _requests) request?.Dispose();
        lock (_lock)
        {
            _closed = true;
            if (_late == 0) _memory.Dispose();
        }
        _cancel.Dispose();
        Completed.Dispose();
    }

    private bool TryStart(IoVectors pieces, long offset, int token, bool isWrite)
    {
        if (!_port.IsWhole(offset, pieces.TotalBytes)) return false;
        var request = _requests[token] ??= new TaskRequest(this, token);
        _inFlight++;
        request.Start(pieces, offset, isWrite);
        return true;
    }

    // Under the lock.
    private void Push(TaskRequest request)
    {
        _completed[(_first + _count++) % _completed.Length] = request.Token;
        request.IsQueued = true;
        if (_armed) Completed.Signal();
    }

    private int RemainingMilliseconds() =>
        _deadline == long.MaxValue ? Timeout.Infinite : (int)Math.Max(0, _deadline - Environment.TickCount64);

    private void FailOutstanding()
    {
        lock (_lock)
        {
            foreach (var request in _requests)
            {
                if (request is null || request.IsQueued) continue;
                request.FailOverdue(_port.DrainTimeout);
                _late++;
                Push(request);
            }
        }
    }
}
