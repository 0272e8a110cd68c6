using Microsoft.Extensions.Logging;

namespace VmShunt.AhciBackend;

/// <summary>The AHCI back-end's log messages. Event ids are unique in VM-H: 3xx trap.</summary>
internal static partial class AhciLog
{
    [LoggerMessage(301, LogLevel.Information, "trap: session {Session} opened")]
    internal static partial void TrapOpened(this ILogger log, int session);

    [LoggerMessage(302, LogLevel.Information, "trap: session {Session} closed: device stopped, guest memory released ({Reason})")]
    internal static partial void TrapClosed(this ILogger log, int session, string reason);

    [LoggerMessage(303, LogLevel.Error, "trap: session {Session} shares no memory with VM-H: its guest sees a controller without a disk. Start QEMU with -object memory-backend-memfd,id=ram,size=SIZE,share=on -numa node,memdev=ram")]
    internal static partial void MemoryIsNotShared(this ILogger log, int session);
}
