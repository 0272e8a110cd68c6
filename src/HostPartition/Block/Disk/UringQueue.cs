using VmShunt.Ring.Files;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;

namespace VmShunt.BlockBackend.Disk;

/// <summary>
/// Concurrent reads and writes on a file by io_uring, for one thread. A request that failed or was short is repeated through
/// the port driver, which reports the error.
/// </summary>
internal sealed class UringQueue : AsyncIoQueue
{
    private readonly IoUring _ring;
    private readonly AlignedIo? _direct;
    private readonly long _readable;

    private UringQueue(IoUring ring, EventFd completed, AlignedIo? direct, long readable)
    {
        _ring = ring;
        Completed = completed;
        _direct = direct;
        _readable = readable;
    }

    internal override EventFd Completed { get; }

    internal override bool HasCompletion => _ring.HasEnded;

    internal override int InFlight => _ring.InFlight;

    internal override bool CompletesSoon => true;

    /// <param name="file">Not owned; stays open as long as the queue.</param>
    /// <param name="depth">The most requests in flight.</param>
    /// <param name="direct">The alignment checks of direct I/O; null for I/O through the page cache.</param>
    /// <param name="bytes">The file's size.</param>
    /// <returns>Null where io_uring is not available.</returns>
    internal static UringQueue? TryOpen(Microsoft.Win32.SafeHandles.SafeFileHandle file, int depth, AlignedIo? direct, long bytes)
    {
        var completed = EventFd.Create();
        if (IoUring.TryCreate(depth, file, completed) is { } ring) return new UringQueue(ring, completed, direct, bytes);
        completed.Dispose();
        return null;
    }

    internal override bool TryRead(IoVectors target, long offset, int token)
    {
        if (_ring.InFlight == _ring.Capacity || offset + target.TotalBytes > _readable || _direct?.CanPassThrough(target, offset, isWrite: false) == false) return false;
        _ring.PrepareRead(target, offset, (ulong)token);
        return true;
    }

    internal override bool TryWrite(IoVectors source, long offset, int token)
    {
        if (_ring.InFlight == _ring.Capacity || offset + source.TotalBytes > _readable || _direct?.CanPassThrough(source, offset, isWrite: true) == false) return false;
        _ring.PrepareWrite(source, offset, (ulong)token);
        return true;
    }

    internal override void Submit() => _ring.Submit();

    internal override bool TryReap(out int token, out long bytes)
    {
        var isReaped = _ring.TryReap(out var number, out var result);
        (token, bytes) = ((int)number, result);
        return isReaped;
    }

    internal override bool Arm() => _ring.Arm();

    internal override void Disarm() => _ring.Disarm();

    internal override void WaitForCompletion() => _ring.WaitForOne();

    public override void Dispose()
    {
        _ring.Dispose();
        Completed.Dispose();
    }
}
