using System.Threading.Tasks.Sources;
using VmShunt.BlockDriver;
using VmShunt.BlockDriver.Memory;
using VmShunt.BlockDriver.Requests;
using VmShunt.Ring.Memory;

namespace VmShunt.Guest.Requests;

/// <summary>
/// Reads and writes that are submitted and awaited as one: a single ring publish with at most one kick, or a single write
/// of PxCI. A batch can be submitted repeatedly; submitting allocates nothing. One thread at a time, none while in flight.
/// </summary>
/// <remarks>The requests are independent: they complete in any order, and each may take another path.</remarks>
internal sealed class BlockBatch : IValueTaskSource
{
    private readonly DiskClassDriver _disk;
    private readonly Entry[] _entries;
    private readonly BlockStatus[] _statuses;
    private readonly BatchSubmission _submission = new();
    private ManualResetValueTaskSourceCore<bool> _completion;
    private int _outstanding;

    /// <summary>Creates an empty batch.</summary>
    /// <param name="disk">The disk that the requests are for.</param>
    /// <param name="capacity">The maximum number of requests.</param>
    public BlockBatch(DiskClassDriver disk, int capacity)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(capacity);
        _disk = disk;
        _entries = new Entry[capacity];
        _statuses = new BlockStatus[capacity];
    }

    /// <summary>The number of requests in the batch.</summary>
    public int Count { get; private set; }

    /// <summary>The status of a request in the last submission, by its index in the batch.</summary>
    public BlockStatus this[int index] => _statuses.AsSpan(0, Count)[index];

    /// <summary>Whether every request of the last submission succeeded.</summary>
    public bool AllSucceeded => _statuses.AsSpan(0, Count).IndexOfAnyExcept(BlockStatus.Ok) < 0;

    /// <summary>Adds a read into a buffer whose length is a multiple of 512.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The range is not on the disk, or the length is invalid.</exception>
    /// <exception cref="InvalidOperationException">The batch is full, or in flight.</exception>
    public void Read(ulong sector, GuestBuffer buffer) => Add(BlockOperation.Read, sector, buffer);

    /// <summary>Adds a write of a buffer whose length is a multiple of 512. The buffer must not change while the batch is in flight.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The range is not on the disk, or the length is invalid.</exception>
    /// <exception cref="InvalidOperationException">The batch is full, or in flight.</exception>
    public void Write(ulong sector, GuestBuffer buffer) => Add(BlockOperation.Write, sector, buffer);

    /// <summary>Removes all requests.</summary>
    /// <exception cref="InvalidOperationException">The batch is in flight.</exception>
    public void Clear()
    {
        ThrowIfInFlight();
        Count = 0;
    }

    /// <summary>Submits all requests. The task may be awaited once; it completes with the last request and does not report errors.</summary>
    /// <param name="cancel">Cancels the requests that no device has yet.</param>
    /// <exception cref="InvalidOperationException">The batch is in flight.</exception>
    /// <exception cref="StackRemovedException">The disk's stack was removed.</exception>
    public ValueTask SubmitAsync(CancellationToken cancel = default)
    {
        ThrowIfInFlight();
        if (Count == 0) return ValueTask.CompletedTask;
        if (cancel.IsCancellationRequested)
        {
            _statuses.AsSpan(0, Count).Fill(BlockStatus.Cancelled);
            return ValueTask.CompletedTask;
        }
        _completion.Reset();
        var task = new ValueTask(this, _completion.Version);
        Interlocked.Exchange(ref _outstanding, Count);
        _submission.Begin();
        try
        {
            _disk.Submit(this, _entries.AsSpan(0, Count), cancel);
        }
        catch (StackRemovedException)
        {
            Interlocked.Exchange(ref _outstanding, 0);
            throw;
        }
        finally
        {
            _submission.Complete();
        }
        return task;
    }

    void IValueTaskSource.GetResult(short token) => _completion.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource.GetStatus(short token) => _completion.GetStatus(token);

    void IValueTaskSource.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _completion.OnCompleted(continuation, state, token, flags);

    /// <summary>Records a request's completion. The last one runs the batch's continuation inline.</summary>
    internal void NoteCompletion(int index, BlockStatus status)
    {
        _statuses[index] = status;
        if (Interlocked.Decrement(ref _outstanding) == 0) _completion.SetResult(true);
    }

    private void Add(BlockOperation operation, ulong sector, GuestBuffer buffer)
    {
        ThrowIfInFlight();
        if (Count == _entries.Length) throw new InvalidOperationException($"the batch is full: its capacity is {_entries.Length} requests");
        _disk.Check(operation, sector, buffer.Length);
        _entries[Count++] = new Entry(operation, sector, buffer.Length, buffer.Address);
    }

    private void ThrowIfInFlight()
    {
        // Acquire: a batch that is not in flight has all its statuses.
        if (Ordered.Load(ref _outstanding) != 0) throw new InvalidOperationException("the batch is in flight; await it first");
    }

    internal readonly record struct Entry(BlockOperation Operation, ulong Sector, int Bytes, ulong Address);
}
