using System.Threading.Tasks.Sources;
using VmShunt.BlockDriver.Memory;

namespace VmShunt.BlockDriver.Requests;

/// <summary>
/// Several reads and writes that are handed over together and awaited together: one publication and at most one kick of a
/// ring, or one command-issue write of an AHCI port. Filled once, it may be submitted again and again, and nothing is
/// allocated. Used by one thread at a time, and by none while it is under way.
/// </summary>
/// <remarks>The requests are independent: they are done in any order, and each may take another road.</remarks>
public sealed class BlockBatch : IValueTaskSource
{
    private readonly DiskClassDriver _disk;
    private readonly Entry[] _entries;
    private readonly BlockStatus[] _statuses;
    private readonly BatchSubmission _handover = new();
    private ManualResetValueTaskSourceCore<bool> _completion;
    private int _left;

    /// <summary>Makes an empty batch.</summary>
    /// <param name="disk">Where its requests go.</param>
    /// <param name="capacity">The most requests that it takes.</param>
    public BlockBatch(DiskClassDriver disk, int capacity)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(capacity);
        _disk = disk;
        _entries = new Entry[capacity];
        _statuses = new BlockStatus[capacity];
    }

    /// <summary>The requests in it.</summary>
    public int Count { get; private set; }

    /// <summary>How a request of the last submission ended, by its place in the batch.</summary>
    public BlockStatus this[int index] => _statuses.AsSpan(0, Count)[index];

    /// <summary>Whether every request of the last submission was done.</summary>
    public bool AllDone => _statuses.AsSpan(0, Count).IndexOfAnyExcept(BlockStatus.Ok) < 0;

    /// <summary>Adds a read of sectors into a buffer, whose length is a multiple of 512.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The range is not on the disk, or the length is not possible.</exception>
    /// <exception cref="InvalidOperationException">The batch is full, or under way.</exception>
    public void Read(ulong sector, GuestBuffer buffer) => Add(BlockOperation.Read, sector, buffer);

    /// <summary>Adds a write of a buffer, whose length is a multiple of 512; it must not change while the batch is under way.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The range is not on the disk, or the length is not possible.</exception>
    /// <exception cref="InvalidOperationException">The batch is full, or under way.</exception>
    public void Write(ulong sector, GuestBuffer buffer) => Add(BlockOperation.Write, sector, buffer);

    /// <summary>Takes all requests out.</summary>
    /// <exception cref="InvalidOperationException">The batch is under way.</exception>
    public void Clear()
    {
        ThrowIfUnderWay();
        Count = 0;
    }

    /// <summary>Hands all requests over. To be awaited once; completes when the last of them has ended, and does not say how.</summary>
    /// <param name="cancel">Calls back those that no device has yet.</param>
    /// <exception cref="InvalidOperationException">The batch is under way.</exception>
    /// <exception cref="StackRemovedException">The disk's stack was removed.</exception>
    public ValueTask SubmitAsync(CancellationToken cancel = default)
    {
        ThrowIfUnderWay();
        if (Count == 0) return ValueTask.CompletedTask;
        if (cancel.IsCancellationRequested)
        {
            _statuses.AsSpan(0, Count).Fill(BlockStatus.Cancelled);
            return ValueTask.CompletedTask;
        }
        _completion.Reset();
        var task = new ValueTask(this, _completion.Version);
        Interlocked.Exchange(ref _left, Count);
        _handover.Begin();
        try
        {
            _disk.Submit(this, _entries.AsSpan(0, Count), cancel);
        }
        catch (StackRemovedException)
        {
            Interlocked.Exchange(ref _left, 0);
            throw;
        }
        finally
        {
            _handover.End();
        }
        return task;
    }

    void IValueTaskSource.GetResult(short token) => _completion.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource.GetStatus(short token) => _completion.GetStatus(token);

    void IValueTaskSource.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _completion.OnCompleted(continuation, state, token, flags);

    /// <summary>A request has ended. What awaits the batch goes on at once, on the last one's thread.</summary>
    internal void NoteEnd(int index, BlockStatus status)
    {
        _statuses[index] = status;
        if (Interlocked.Decrement(ref _left) == 0) _completion.SetResult(true);
    }

    private void Add(BlockOperation operation, ulong sector, GuestBuffer buffer)
    {
        ThrowIfUnderWay();
        if (Count == _entries.Length) throw new InvalidOperationException($"the batch is full: it takes {_entries.Length} requests");
        _disk.Check(operation, sector, buffer.Length);
        _entries[Count++] = new Entry(operation, sector, buffer.Length, buffer.Address);
    }

    private void ThrowIfUnderWay()
    {
        if (_left != 0) throw new InvalidOperationException("the batch is under way; await it first");
    }

    internal readonly record struct Entry(BlockOperation Operation, ulong Sector, int Bytes, ulong Address);
}
