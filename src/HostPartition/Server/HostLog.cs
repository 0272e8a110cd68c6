using Microsoft.Extensions.Logging;

namespace VmShunt.HostPartition;

/// <summary>The log messages of <c>vmshunt-host</c>. Event ids are unique in VM-H: 2xx ring, 4xx process; the packages have the others.</summary>
internal static partial class HostLog
{
    [LoggerMessage(205, LogLevel.Information, "ring: the bus is withdrawn: {Socket} is closed, sessions are stopping")]
    internal static partial void BusWithdrawn(this ILogger log, string socket);

    [LoggerMessage(206, LogLevel.Information, "ring: the bus is offered again on {Socket}")]
    internal static partial void BusOffered(this ILogger log, string socket);

    [LoggerMessage(207, LogLevel.Error, "ring: the bus stays withdrawn: {Why}")]
    internal static partial void BusNotOffered(this ILogger log, string why);

    [LoggerMessage(401, LogLevel.Information, "stopping: {Reason}")]
    internal static partial void Stopping(this ILogger log, string reason);

    [LoggerMessage(402, LogLevel.Error, "the disk {Disk} has not answered all requests within {Seconds} s: the process ends without them")]
    internal static partial void StopGivenUp(this ILogger log, string disk, double seconds);

    [LoggerMessage(403, LogLevel.Warning, "ready, but {Why}")]
    internal static partial void ReadyUnsaid(this ILogger log, string why);

    [LoggerMessage(404, LogLevel.Information, "confined: {By}")]
    internal static partial void Confined(this ILogger log, string by);
}
