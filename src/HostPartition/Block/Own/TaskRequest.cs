using System.Runtime.CompilerServices;
using VmShunt.Ring.Memory;

namespace VmShunt.BlockBackend.Own;

/// <summary>One slot of a <see cref="TaskQueue"/>: a request that a disk completes later. Reused; allocates nothing once warm.</summary>
internal sealed class TaskRequest : IDisposable
{
    private readonly TaskQueue _queue;
    private readonly Action _completed;
    private PieceMemory _memory = new();
    private ConfiguredValueTaskAwaitable.ConfiguredValueTaskAwaiter _task;
    private string _what = "";
    private long _offset, _bytes;

    internal TaskRequest(TaskQueue queue, int token)
    {
        _queue = queue;
        Token = token;
        _completed = Finish;
    }

    internal int Token { get; }

    /// <summary>The bytes transferred, or −1. Valid once it is queued as completed.</summary>
    internal long Transferred { get; private set; }

    /// <summary>Why it failed. Valid once it is queued as completed.</summary>
    internal IOException? Failure { get; private set; }

    /// <summary>Whether it is queued as completed. Under the queue's lock.</summary>
    internal bool IsQueued { get; set; }

    /// <summary>Whether it was failed before the disk completed it. Under the queue's lock.</summary>
    internal bool IsOverdue { get; private set; }

    /// <summary>Calls the disk. The ring's thread.</summary>
    internal void Start(IoVectors pieces, long offset, bool isWrite)
    {
        (_what, _offset, _bytes) = (isWrite ? nameof(AsyncBlockDevice.WriteAsync) : nameof(AsyncBlockDevice.ReadAsync), offset, pieces.TotalBytes);
        (Failure, IsQueued) = (null, false);
        try
        {
            // The slot has one task at a time, and takes its result once.
#pragma warning disable CA2012
            _task = _queue.Port.TransferAsync(pieces, offset, isWrite, _memory, _queue.Cancellation).ConfigureAwait(false).GetAwaiter();
#pragma warning restore CA2012
        }
        catch (Exception e)
        {
            _queue.Complete(this, Describe(e));
            return;
        }
        if (_task.IsCompleted) Finish();
        else _task.UnsafeOnCompleted(_completed);
    }

    /// <summary>Under the queue's lock.</summary>
    internal void SetResult(IOException? failure) => (Failure, Transferred) = (failure, failure is null ? _bytes : -1);

    /// <summary>Under the queue's lock.</summary>
    internal void FailOverdue(TimeSpan limit)
    {
        IsOverdue = true;
        SetResult(new IOException($"{_what} of {_bytes} bytes at offset {_offset} did not complete within {limit.TotalSeconds:0.#} s after its cancellation"));
    }

    /// <summary>Makes a later use of its memory throw.</summary>
    public void Dispose() => ((IDisposable)_memory).Dispose();

    private void Finish()
    {
        IOException? failure = null;
        try
        {
            _task.GetResult();
        }
        catch (Exception e)
        {
            failure = Describe(e);
        }
        if (_queue.Port.DetectsMisuse)
        {
            _memory.Detach();
            _memory = new PieceMemory();
        }
        _queue.Complete(this, failure);
    }

    private IOException Describe(Exception e) =>
        e as IOException ?? new IOException($"{_what} of {_bytes} bytes at offset {_offset} threw {e.GetType().Name}: {e.Message}", e);
}
