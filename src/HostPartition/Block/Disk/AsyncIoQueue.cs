using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;

namespace VmShunt.BlockBackend.Disk;

/// <summary>
/// Concurrent reads and writes on a disk, for one thread. The caller submits a request that the queue rejects through the
/// port driver instead.
/// </summary>
internal abstract class AsyncIoQueue : IDisposable
{
    /// <summary>Signalled at a completion while armed.</summary>
    internal abstract EventFd Completed { get; }

    /// <summary>Whether <see cref="TryReap"/> would return a completion.</summary>
    internal abstract bool HasCompletion { get; }

    internal abstract int InFlight { get; }

    /// <summary>Whether requests complete so soon that blocking on one of many beats waiting for the driver.</summary>
    internal abstract bool CompletesSoon { get; }

    /// <summary>Queues a read; the pieces must not change until it completes.</summary>
    /// <returns>False where the queue cannot carry out the request.</returns>
    internal abstract bool TryRead(IoVectors target, long offset, int token);

    /// <summary>Queues a write; the pieces must not change until it completes.</summary>
    /// <returns>False where the queue cannot carry out the request.</returns>
    internal abstract bool TryWrite(IoVectors source, long offset, int token);

    /// <summary>Submits the queued requests.</summary>
    internal abstract void Submit();

    /// <summary>Reaps a completion.</summary>
    /// <param name="token">The request's token.</param>
    /// <param name="bytes">The bytes transferred; negative, or fewer than requested, where it failed.</param>
    internal abstract bool TryReap(out int token, out long bytes);

    /// <summary>Why a reaped request failed; null: the caller repeats it through the port driver, which reports the error.</summary>
    internal virtual IOException? FailureOf(int token) => null;

    /// <summary>Enables signals on <see cref="Completed"/>; called before blocking.</summary>
    /// <returns>True when there is a completion already: do not block.</returns>
    internal abstract bool Arm();

    /// <summary>Disables signals: the thread polls.</summary>
    internal abstract void Disarm();

    /// <summary>Submits the queued requests and blocks until one completes.</summary>
    internal abstract void WaitForCompletion();

    /// <summary>Called when no further request follows: those in flight are to complete in bounded time.</summary>
    internal virtual void BeginDrain()
    {
        // A local disk completes what it was given.
    }

    /// <summary>Only with no request in flight.</summary>
    public abstract void Dispose();
}
