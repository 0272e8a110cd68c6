using Microsoft.Extensions.Logging;

namespace VmShunt.HostPartition;

/// <summary>Every line that VM-H logs, numbered. 1xx disk, 2xx ring, 3xx trap, 4xx process.</summary>
internal static partial class HostLog
{
    [LoggerMessage(101, LogLevel.Error, "disk {Disk}: {Error}")]
    internal static partial void DiskFailed(this ILogger log, string disk, string error);
}
