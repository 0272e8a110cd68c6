using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;

namespace VmShunt.BlockBackend.Disk;

/// <summary>An <see cref="AsyncIoQueue"/> behind the class driver's checks of range and write permission. One thread.</summary>
internal sealed class CheckedIoQueue(HostClassDriver disk, AsyncIoQueue port) : IDisposable
{
    /// <inheritdoc cref="AsyncIoQueue.Completed"/>
    internal EventFd Completed => port.Completed;

    /// <inheritdoc cref="AsyncIoQueue.HasCompletion"/>
    internal bool HasCompletion => port.HasCompletion;

    internal int InFlight => port.InFlight;

    /// <inheritdoc cref="AsyncIoQueue.CompletesSoon"/>
    internal bool CompletesSoon => port.CompletesSoon;

    /// <summary>Queues a read; the pieces must not change until it completes.</summary>
    /// <returns>False: the caller reads through the disk, which returns the error if there is one.</returns>
    internal bool TryRead(ulong sector, IoVectors target, int token) =>
        disk.IsOnDisk(sector, (ulong)target.TotalBytes / HostClassDriver.SectorBytes) && port.TryRead(target, (long)sector * HostClassDriver.SectorBytes, token);

    /// <summary>Queues a write; the pieces must not change until it completes.</summary>
    /// <returns>False: the caller writes through the disk, which returns the error if there is one.</returns>
    internal bool TryWrite(ulong sector, IoVectors source, int token) =>
        !disk.IsReadOnly && disk.IsOnDisk(sector, (ulong)source.TotalBytes / HostClassDriver.SectorBytes)
        && port.TryWrite(source, (long)sector * HostClassDriver.SectorBytes, token);

    /// <inheritdoc cref="AsyncIoQueue.Submit"/>
    internal void Submit() => port.Submit();

    /// <inheritdoc cref="AsyncIoQueue.TryReap"/>
    internal bool TryReap(out int token, out long bytes) => port.TryReap(out token, out bytes);

    /// <summary>Logs why a reaped request failed.</summary>
    /// <returns>Null: the caller repeats it through the disk, which reports the error.</returns>
    internal DiskStatus? StatusOf(int token) => port.FailureOf(token) is { } failure ? disk.Failed(failure) : null;

    /// <inheritdoc cref="AsyncIoQueue.Arm"/>
    internal bool Arm() => port.Arm();

    /// <inheritdoc cref="AsyncIoQueue.Disarm"/>
    internal void Disarm() => port.Disarm();

    /// <inheritdoc cref="AsyncIoQueue.WaitForCompletion"/>
    internal void WaitForCompletion() => port.WaitForCompletion();

    /// <inheritdoc cref="AsyncIoQueue.BeginDrain"/>
    internal void BeginDrain() => port.BeginDrain();

    /// <summary>Only with no request in flight.</summary>
    public void Dispose() => port.Dispose();
}
