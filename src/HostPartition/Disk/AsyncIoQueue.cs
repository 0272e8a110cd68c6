using VmShunt.Ring.Files;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;

namespace VmShunt.HostPartition.Disk;

/// <summary>
/// Concurrent reads and writes on a file by io_uring, for one thread. The caller submits a request that the queue rejects,
/// and repeats one that failed or was short, through the port driver, which reports the error.
/// </summary>
internal sealed class AsyncIoQueue : IDisposable
{
    private readonly IoUring _ring;
    private readonly AlignedIo? _direct;
    private readonly long _readable;

    private AsyncIoQueue(IoUring ring, EventFd completed, AlignedIo? direct, long readable)
    {
        _ring = ring;
        Completed = completed;
        _direct = direct;
        _readable = readable;
    }

    /// <summary>Signalled at a completion while armed.</summary>
    internal EventFd Completed { get; }

    /// <summary>Whether <see cref="TryReap"/> would return a completion.</summary>
    internal bool HasCompletion => _ring.HasEnded;

    internal int InFlight => _ring.InFlight;

    /// <param name="file">Not owned; stays open as long as the queue.</param>
    /// <param name="depth">The most requests in flight.</param>
    /// <param name="direct">The alignment checks of direct I/O; null for I/O through the page cache.</param>
    /// <param name="bytes">The file's size.</param>
    /// <returns>Null where io_uring is not available.</returns>
    internal static AsyncIoQueue? TryOpen(Microsoft.Win32.SafeHandles.SafeFileHandle file, int depth, AlignedIo? direct, long bytes)
    {
        var completed = EventFd.Create();
        if (IoUring.TryCreate(depth, file, completed) is { } ring) return new AsyncIoQueue(ring, completed, direct, bytes);
        completed.Dispose();
        return null;
    }

    /// <summary>Queues a read; the pieces must not change until it completes.</summary>
    /// <returns>False where the queue cannot carry out the request.</returns>
    internal bool TryRead(IoVectors target, long offset, int token)
    {
        if (_ring.InFlight == _ring.Capacity || offset + target.TotalBytes > _readable || _direct?.CanPassThrough(target, offset, isWrite: false) == false) return false;
        _ring.PrepareRead(target, offset, (ulong)token);
        return true;
    }

    /// <summary>Queues a write; the pieces must not change until it completes.</summary>
    /// <returns>False where the queue cannot carry out the request.</returns>
    internal bool TryWrite(IoVectors source, long offset, int token)
    {
        if (_ring.InFlight == _ring.Capacity || offset + source.TotalBytes > _readable || _direct?.CanPassThrough(source, offset, isWrite: true) == false) return false;
        _ring.PrepareWrite(source, offset, (ulong)token);
        return true;
    }

    /// <summary>Submits the queued requests to the kernel.</summary>
    internal void Submit() => _ring.Submit();

    /// <summary>Reaps a completion.</summary>
    /// <param name="token">The request's token.</param>
    /// <param name="bytes">The bytes transferred; negative, or fewer than requested: the caller repeats it through the port driver.</param>
    internal bool TryReap(out int token, out long bytes)
    {
        var isReaped = _ring.TryReap(out var number, out var result);
        (token, bytes) = ((int)number, result);
        return isReaped;
    }

    /// <summary>Enables signals on <see cref="Completed"/>; called before blocking.</summary>
    /// <returns>True when there is a completion already: do not block.</returns>
    internal bool Arm() => _ring.Arm();

    /// <summary>Disables signals: the thread polls.</summary>
    internal void Disarm() => _ring.Disarm();

    /// <summary>Submits the queued requests and blocks until one completes, in one system call.</summary>
    internal void WaitForCompletion() => _ring.WaitForOne();

    /// <summary>Only with no request in flight.</summary>
    public void Dispose()
    {
        _ring.Dispose();
        Completed.Dispose();
    }
}
