using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;

namespace VmShunt.HostPartition.Disk;

/// <summary>Reads and writes of one thread that are under way side by side on a disk, checked as the class driver checks all.</summary>
internal sealed class CheckedIoQueue(HostClassDriver disk, AsyncIoQueue port) : IDisposable
{
    /// <summary>Signalled when a request is done.</summary>
    internal EventFd Completed => port.Completed;

    /// <summary>Whether <see cref="TryReap"/> would take one.</summary>
    internal bool HasEnded => port.HasEnded;

    internal int InFlight => port.InFlight;

    /// <summary>Begins a read; the pieces stay as they are until it is done.</summary>
    /// <returns>False: it is to be done by the disk itself.</returns>
    internal bool TryRead(ulong sector, IoVectors target, int token) =>
        disk.IsOnDisk(sector, (ulong)target.TotalBytes / HostClassDriver.SectorBytes) && port.TryRead(target, (long)sector * HostClassDriver.SectorBytes, token);

    /// <summary>Begins a write; the pieces stay as they are until it is done.</summary>
    /// <returns>False: it is to be done by the disk itself.</returns>
    internal bool TryWrite(ulong sector, IoVectors source, int token) =>
        !disk.IsReadOnly && disk.IsOnDisk(sector, (ulong)source.TotalBytes / HostClassDriver.SectorBytes)
        && port.TryWrite(source, (long)sector * HostClassDriver.SectorBytes, token);

    /// <summary>Has what was begun done.</summary>
    internal void Submit() => port.Submit();

    /// <summary>Takes one that is done.</summary>
    /// <param name="token">Which.</param>
    /// <param name="bytes">What was moved; less than asked: the disk itself is to do it again, and says what is wrong.</param>
    internal bool TryReap(out int token, out long bytes) => port.TryReap(out token, out bytes);

    /// <summary>Has <see cref="Completed"/> signalled, for a thread that is about to sleep.</summary>
    /// <returns>True when one is done already: do not sleep.</returns>
    internal bool Arm() => port.Arm();

    /// <summary>Has nothing signalled: the thread looks by itself.</summary>
    internal void Disarm() => port.Disarm();

    /// <summary>Has what was begun done, and waits until one is: one system call for both.</summary>
    internal void WaitForOne() => port.WaitForOne();

    /// <summary>Only with nothing under way.</summary>
    public void Dispose() => port.Dispose();
}
