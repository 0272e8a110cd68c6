using Microsoft.Extensions.Logging;

namespace VmShunt.HostPartition.Log;

/// <summary>Every line that VM-H logs, numbered. 1xx disk, 2xx ring, 3xx trap, 4xx process.</summary>
internal static partial class HostLog
{
    [LoggerMessage(101, LogLevel.Error, "disk {Disk}: {Error}")]
    internal static partial void DiskFailed(this ILogger log, string disk, string error);

    [LoggerMessage(107, LogLevel.Information, "disk {Disk}: its capacity went from {Before} to {Now} sectors")]
    internal static partial void DiskResized(this ILogger log, string disk, ulong before, ulong now);
    [LoggerMessage(102, LogLevel.Error, "disk {Disk}: {Error} ({LeftOut} more errors since the last line)")]
    internal static partial void DiskFailedMore(this ILogger log, string disk, string error, long leftOut);

    [LoggerMessage(103, LogLevel.Error, "disk {Disk}: {LeftOut} more errors since the last line")]
    internal static partial void DiskErrorsLeftOut(this ILogger log, string disk, long leftOut);

    [LoggerMessage(104, LogLevel.Warning, "disk {Disk} is full: writes wait until there is room ({Error})")]
    internal static partial void DiskFull(this ILogger log, string disk, string error);

    [LoggerMessage(105, LogLevel.Information, "disk {Disk} has room again: writes go on after {Seconds:0.0} s")]
    internal static partial void DiskHasRoom(this ILogger log, string disk, double seconds);

    [LoggerMessage(106, LogLevel.Warning, "disk {Disk}: no write waits for room any more, after {Seconds:0.0} s, but none went through")]
    internal static partial void DiskFullGivenUp(this ILogger log, string disk, double seconds);

    [LoggerMessage(108, LogLevel.Warning, "disk {Disk} cannot be locked, so nothing keeps another process from writing it: {Why}")]
    internal static partial void ImageNotLocked(this ILogger log, string disk, string why);

    [LoggerMessage(111, LogLevel.Warning, "disk {Disk}: its server is gone; requests wait for it")]
    internal static partial void NbdLost(this ILogger log, string disk);

    [LoggerMessage(112, LogLevel.Information, "disk {Disk}: its server is back; requests go on")]
    internal static partial void NbdBack(this ILogger log, string disk);

    [LoggerMessage(109, LogLevel.Information, "disk {Disk}: {Requests} requests ({Bytes} bytes) were copied, because direct I/O needs memory and sectors better aligned")]
    internal static partial void RequestsCopied(this ILogger log, string disk, long requests, long bytes);

    [LoggerMessage(201, LogLevel.Information, "ring: session {Session} opened")]
    internal static partial void SessionOpened(this ILogger log, int session);

    [LoggerMessage(202, LogLevel.Information, "ring: session {Session} closed: rings stopped, guest memory released ({Reason})")]
    internal static partial void SessionClosed(this ILogger log, int session, string reason);

    [LoggerMessage(203, LogLevel.Warning, "ring: session {Session}: {Refusal}")]
    internal static partial void MessageRefused(this ILogger log, int session, string refusal);

    [LoggerMessage(204, LogLevel.Warning, "ring: vring {Index} is broken by its driver and stopped: {Fault}")]
    internal static partial void RingBroken(this ILogger log, int index, string fault);

    [LoggerMessage(205, LogLevel.Information, "ring: the bus is withdrawn: nobody is served on {Socket}, sessions end")]
    internal static partial void BusWithdrawn(this ILogger log, string socket);

    [LoggerMessage(206, LogLevel.Information, "ring: the bus is offered again on {Socket}")]
    internal static partial void BusOffered(this ILogger log, string socket);

    [LoggerMessage(207, LogLevel.Error, "ring: the bus stays withdrawn: {Why}")]
    internal static partial void BusNotOffered(this ILogger log, string why);

    [LoggerMessage(205, LogLevel.Information, "ring: a shunt sends {Primary} here, by {Criterion}; the rest takes the trap")]
    internal static partial void ShuntAgreed(this ILogger log, string primary, string criterion);

    [LoggerMessage(206, LogLevel.Warning, "ring: a shunt would send {Primary} here, and this VM-H does only {Implemented} (--primary): refused")]
    internal static partial void ShuntRefused(this ILogger log, string primary, string implemented);

    [LoggerMessage(301, LogLevel.Information, "trap: session {Session} opened")]
    internal static partial void TrapOpened(this ILogger log, int session);

    [LoggerMessage(302, LogLevel.Information, "trap: session {Session} closed: device stopped, guest memory released ({Reason})")]
    internal static partial void TrapClosed(this ILogger log, int session, string reason);

    [LoggerMessage(401, LogLevel.Information, "stopping: {Reason}")]
    internal static partial void Stopping(this ILogger log, string reason);
}
