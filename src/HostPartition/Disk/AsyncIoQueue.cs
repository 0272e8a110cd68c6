using VmShunt.Ring.Files;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;

namespace VmShunt.HostPartition.Disk;

/// <summary>
/// Reads and writes of one thread that are under way side by side on a file, by io_uring. What it does not take, and what
/// does not end well, is the caller's to do by the port driver itself, which has the words for what is wrong.
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

    /// <summary>Signalled when a request is done.</summary>
    internal EventFd Completed { get; }

    /// <summary>Whether <see cref="TryReap"/> would take one.</summary>
    internal bool HasEnded => _ring.HasEnded;

    internal int InFlight => _ring.InFlight;

    /// <param name="file">Stays the caller's, and open for as long as the queue.</param>
    /// <param name="depth">How many requests at once.</param>
    /// <param name="direct">What is aligned for direct I/O; null for I/O through the page cache.</param>
    /// <param name="bytes">The size of the file.</param>
    /// <returns>Null where this machine has no io_uring.</returns>
    internal static AsyncIoQueue? TryOpen(Microsoft.Win32.SafeHandles.SafeFileHandle file, int depth, AlignedIo? direct, long bytes)
    {
        var completed = EventFd.Create();
        if (IoUring.TryCreate(depth, file, completed) is { } ring) return new AsyncIoQueue(ring, completed, direct, bytes);
        completed.Dispose();
        return null;
    }

    /// <summary>Begins a read; the pieces stay as they are until it is done.</summary>
    /// <returns>False: not this way.</returns>
    internal bool TryRead(IoVectors target, long offset, int token)
    {
        if (_ring.InFlight == _ring.Capacity || offset + target.TotalBytes > _readable || _direct?.TakesAsIs(target, offset, isWrite: false) == false) return false;
        _ring.PrepareRead(target, offset, (ulong)token);
        return true;
    }

    /// <summary>Begins a write; the pieces stay as they are until it is done.</summary>
    /// <returns>False: not this way.</returns>
    internal bool TryWrite(IoVectors source, long offset, int token)
    {
        if (_ring.InFlight == _ring.Capacity || offset + source.TotalBytes > _readable || _direct?.TakesAsIs(source, offset, isWrite: true) == false) return false;
        _ring.PrepareWrite(source, offset, (ulong)token);
        return true;
    }

    /// <summary>Has what was begun done.</summary>
    internal void Submit() => _ring.Submit();

    /// <summary>Takes one that is done.</summary>
    /// <param name="token">Which.</param>
    /// <param name="bytes">What was moved; negative or less than asked: the caller does it again by the port driver.</param>
    internal bool TryReap(out int token, out long bytes)
    {
        var isDone = _ring.TryReap(out var number, out var result);
        (token, bytes) = ((int)number, result);
        return isDone;
    }

    /// <summary>Has <see cref="Completed"/> signalled, for a thread that is about to sleep.</summary>
    /// <returns>True when one is done already: do not sleep.</returns>
    internal bool Arm() => _ring.Arm();

    /// <summary>Has nothing signalled: the thread looks by itself.</summary>
    internal void Disarm() => _ring.Disarm();

    /// <summary>Has what was begun done, and waits until one is: one system call for both.</summary>
    internal void WaitForOne() => _ring.WaitForOne();

    /// <summary>Only with nothing under way.</summary>
    public void Dispose()
    {
        _ring.Dispose();
        Completed.Dispose();
    }
}
