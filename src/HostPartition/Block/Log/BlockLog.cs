using Microsoft.Extensions.Logging;

namespace VmShunt.BlockBackend.Log;

/// <summary>The back-end's log messages. Event ids are unique in VM-H: 1xx disk, 2xx ring, 5xx socket; <c>VmShunt.AhciBackend</c> has 3xx.</summary>
internal static partial class BlockLog
{
    [LoggerMessage(101, LogLevel.Error, "disk {Disk}: {Error}")]
    internal static partial void DiskFailed(this ILogger log, string disk, string error);

    [LoggerMessage(102, LogLevel.Error, "disk {Disk}: {Error} ({LeftOut} more errors since the last line)")]
    internal static partial void DiskFailedMore(this ILogger log, string disk, string error, long leftOut);

    [LoggerMessage(103, LogLevel.Error, "disk {Disk}: {LeftOut} more errors since the last line")]
    internal static partial void DiskErrorsLeftOut(this ILogger log, string disk, long leftOut);

    [LoggerMessage(104, LogLevel.Warning, "disk {Disk} is full: writes wait for free space ({Error})")]
    internal static partial void DiskFull(this ILogger log, string disk, string error);

    [LoggerMessage(105, LogLevel.Information, "disk {Disk} has free space again: writes resume after {Seconds:0.0} s")]
    internal static partial void DiskHasRoom(this ILogger log, string disk, double seconds);

    [LoggerMessage(106, LogLevel.Warning, "disk {Disk}: the last write that waited for free space was cancelled or failed after {Seconds:0.0} s")]
    internal static partial void DiskFullGivenUp(this ILogger log, string disk, double seconds);

    [LoggerMessage(107, LogLevel.Information, "disk {Disk}: the capacity changed from {Before} to {Now} sectors")]
    internal static partial void DiskResized(this ILogger log, string disk, ulong before, ulong now);

    [LoggerMessage(108, LogLevel.Warning, "disk {Disk} cannot be locked, so other processes can write to it: {Why}")]
    internal static partial void ImageNotLocked(this ILogger log, string disk, string why);

    [LoggerMessage(109, LogLevel.Information, "disk {Disk}: {Requests} requests ({Bytes} bytes) were copied, because direct I/O requires aligned buffers and sectors")]
    internal static partial void RequestsCopied(this ILogger log, string disk, long requests, long bytes);

    [LoggerMessage(111, LogLevel.Warning, "disk {Disk}: the connection to the server was lost ({Why}); requests wait until it is restored")]
    internal static partial void NbdLost(this ILogger log, string disk, string why);

    [LoggerMessage(121, LogLevel.Warning, "disk {Disk}: the connection to the server was lost ({Why}), and {LeftOut} times since the last such line; requests wait until it is restored")]
    internal static partial void NbdLostMore(this ILogger log, string disk, string why, long leftOut);

    [LoggerMessage(112, LogLevel.Information, "disk {Disk}: reconnected to the server; requests resume")]
    internal static partial void NbdBack(this ILogger log, string disk);

    [LoggerMessage(113, LogLevel.Information, "disk {Disk}: {Engine}")]
    internal static partial void DiskEngineChosen(this ILogger log, string disk, string engine);

    [LoggerMessage(114, LogLevel.Information, "disk {Disk}: it begins with a LUKS header, which its guest is to unlock; VM-H serves it as it is")]
    internal static partial void DiskIsEncrypted(this ILogger log, string disk);

    [LoggerMessage(201, LogLevel.Information, "ring: session {Session} opened")]
    internal static partial void SessionOpened(this ILogger log, int session);

    [LoggerMessage(202, LogLevel.Information, "ring: session {Session} closed: rings stopped, guest memory released ({Reason})")]
    internal static partial void SessionClosed(this ILogger log, int session, string reason);

    [LoggerMessage(203, LogLevel.Warning, "ring: session {Session}: {Refusal}")]
    internal static partial void MessageRefused(this ILogger log, int session, string refusal);

    [LoggerMessage(204, LogLevel.Warning, "ring: vring {Index} is broken until it is set up again: {Fault}")]
    internal static partial void RingBroken(this ILogger log, int index, string fault);

    [LoggerMessage(210, LogLevel.Warning, "ring: vring {Index} has {Size} entries and its driver uses no indirect descriptors: requests of more than {Fitting} segments never fit, and the driver may build them up to {MaxSegments}, which hangs its disk; start VM-H with --seg-max {Fitting} (BlockServerOptions.MaxSegments), or give the guest's device larger rings (QEMU: queue-size)")]
    internal static partial void RequestsDoNotFit(this ILogger log, int index, int size, int fitting, int maxSegments);

    [LoggerMessage(115, LogLevel.Warning, "disk {Disk}: vring {Index} was stopped while the disk had not answered; the request stays in the front-end's record and is executed again when the vring starts. Until the disk has answered, no other request starts")]
    internal static partial void RequestAbandoned(this ILogger log, string disk, int index);

    [LoggerMessage(116, LogLevel.Information, "disk {Disk}: it has answered the request that vring {Index} had when it was stopped; requests start again")]
    internal static partial void AbandonedRequestEnded(this ILogger log, string disk, int index);

    [LoggerMessage(117, LogLevel.Information, "disk {Disk}: flushed and released for the next host of its guest; a ring that starts here locks it again")]
    internal static partial void DiskReleased(this ILogger log, string disk);

    [LoggerMessage(118, LogLevel.Error, "disk {Disk} is not released to its guest's next host: {Why}")]
    internal static partial void DiskNotReleased(this ILogger log, string disk, string why);

    [LoggerMessage(119, LogLevel.Warning, "disk {Disk} is in use by {Holder}: requests wait until it is released")]
    internal static partial void DiskIsAwaited(this ILogger log, string disk, string holder);

    [LoggerMessage(120, LogLevel.Information, "disk {Disk} is locked by this process now, and requests start")]
    internal static partial void DiskTaken(this ILogger log, string disk);

    [LoggerMessage(211, LogLevel.Warning, "ring: vring {Index} cannot stop, and its front-end (a virtual machine as a whole, with QEMU) waits, until the disk {Disk} answers: {Why}")]
    internal static partial void StopWaits(this ILogger log, int index, string disk, string why);

    [LoggerMessage(501, LogLevel.Warning, "socket {Address}: {Reason}")]
    internal static partial void ConnectionRefused(this ILogger log, string address, string reason);

    [LoggerMessage(502, LogLevel.Error, "socket {Address}: a handler of BlockServer.SessionsChanged threw {Error}")]
    internal static partial void HandlerThrew(this ILogger log, string address, string error);

    [LoggerMessage(208, LogLevel.Information, "ring: a shunt sends {Primary} to the ring, by {Criterion}; other requests use the trap")]
    internal static partial void ShuntAgreed(this ILogger log, string primary, string criterion);

    [LoggerMessage(209, LogLevel.Warning, "ring: a shunt was rejected: it is configured to send {Primary}, but this VM-H carries out only {Implemented} (--primary)")]
    internal static partial void ShuntRefused(this ILogger log, string primary, string implemented);
}
