using Microsoft.Extensions.Logging;

namespace VmShunt.BlockBackend.Log;

/// <summary>The log messages of guests with a transition. Event ids are unique in VM-H: 6xx transition.</summary>
internal static partial class TransitionLog
{
    [LoggerMessage(601, LogLevel.Information, "transition: {Guest}: {Before} -> {Now}: {Reason} ({TrapRequests} requests on the trap path and {RingRequests} on the ring since the last change)")]
    internal static partial void TransitionChanged(this ILogger log, string guest, string before, string now, string reason, long trapRequests, long ringRequests);

    [LoggerMessage(602, LogLevel.Warning, "transition: {Guest}: {Before} -> {Now}: {Reason}; the emulated disk stays, and the other path's writes fail ({TrapRequests} requests on the trap path and {RingRequests} on the ring since the last change)")]
    internal static partial void DiskStays(this ILogger log, string guest, string before, string now, string reason, long trapRequests, long ringRequests);

    [LoggerMessage(603, LogLevel.Warning, "transition: {Guest}: no transition, the disk is served on both paths: {Why}")]
    internal static partial void TransitionIsOff(this ILogger log, string guest, string why);

    [LoggerMessage(604, LogLevel.Warning, "transition: {Guest} ({State}): writes of the emulated disk fail (ABRT), because the ring holds the right to write")]
    internal static partial void TrapWriteFailed(this ILogger log, string guest, string state);

    [LoggerMessage(605, LogLevel.Warning, "transition: {Guest} ({State}): requests on the ring fail (VIRTIO_BLK_S_IOERR), because the emulated disk holds the right to write")]
    internal static partial void RingRequestFailed(this ILogger log, string guest, string state);

    [LoggerMessage(606, LogLevel.Warning, "transition: {Guest}: its ring continues with the right to write; if it had the emulated disk, too, that has disappeared until QEMU is started again, whose vfio-user client does not reconnect")]
    internal static partial void TrapPathIsGone(this ILogger log, string guest);

    [LoggerMessage(607, LogLevel.Warning, "transition: a session on {Path} is of a process in another PID namespace, and so of no known guest: it is served without a transition (--pair sockets declares both sockets one guest's)")]
    internal static partial void GuestIsUnknown(this ILogger log, string path);

    [LoggerMessage(608, LogLevel.Warning, "transition: a second session on {Path} is refused: --pair sockets declares both sockets one guest's")]
    internal static partial void SecondSessionRefused(this ILogger log, string path);
}
