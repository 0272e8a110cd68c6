using Microsoft.Extensions.Logging;

namespace VmShunt.Hypervisor;

/// <summary>The hypervisor's log lines. Event ids: 1xx process, 2xx partitions, 3xx bus, 4xx crash.</summary>
internal static partial class HypervisorLog
{
    [LoggerMessage(101, LogLevel.Information, "listening on {Socket} with {Devices} device(s)")]
    internal static partial void Listening(this ILogger log, string socket, int devices);

    [LoggerMessage(102, LogLevel.Information, "exiting: {Why}")]
    internal static partial void Ends(this ILogger log, string why);

    [LoggerMessage(103, LogLevel.Error, "device {Device}: VM-H closed the connection")]
    internal static partial void HostPartitionGone(this ILogger log, string device);

    [LoggerMessage(104, LogLevel.Warning, "a connection was refused: {Why}")]
    internal static partial void Refused(this ILogger log, string why);

    [LoggerMessage(105, LogLevel.Warning, "a connection could not be accepted: {Why}")]
    internal static partial void AcceptFailed(this ILogger log, string why);

    [LoggerMessage(106, LogLevel.Information, "confined: {By}")]
    internal static partial void Confined(this ILogger log, string by);

    [LoggerMessage(201, LogLevel.Information, "partition {Partition}: created with {Bytes} bytes of memory and {Processors} processor(s) for process {Process}")]
    internal static partial void PartitionCreated(this ILogger log, int partition, ulong bytes, int processors, int process);

    [LoggerMessage(202, LogLevel.Information, "partition {Partition}: stopped: {Why}; {Exits} exits")]
    internal static partial void PartitionEnded(this ILogger log, int partition, string why, long exits);

    [LoggerMessage(203, LogLevel.Warning, "partition {Partition}: machine check on processor {Processor}: {Why}")]
    internal static partial void MachineCheck(this ILogger log, int partition, int processor, string why);

    [LoggerMessage(204, LogLevel.Warning, "partition {Partition}: the connection of processor {Processor} failed: {Why}")]
    internal static partial void ProcessorBroke(this ILogger log, int partition, int processor, string why);

    [LoggerMessage(301, LogLevel.Information, "partition {Partition}: bus channel of {Device} opened")]
    internal static partial void BusOpened(this ILogger log, int partition, string device);

    [LoggerMessage(302, LogLevel.Information, "partition {Partition}: bus channel of {Device} closed by VM-H")]
    internal static partial void BusClosed(this ILogger log, int partition, string device);

    [LoggerMessage(303, LogLevel.Error, "partition {Partition}: VM-H did not close the bus channel of {Device} within {Seconds:0.###} s; it was cut by force")]
    internal static partial void BusForced(this ILogger log, int partition, string device, double seconds);

    [LoggerMessage(304, LogLevel.Warning, "partition {Partition}: no bus channel for {Device}: {Why}")]
    internal static partial void BusUnavailable(this ILogger log, int partition, string device, string why);

    [LoggerMessage(305, LogLevel.Information, "bus of {Device} rescinded")]
    internal static partial void BusRescinded(this ILogger log, string device);

    [LoggerMessage(306, LogLevel.Information, "bus of {Device} offered again: {Why}")]
    internal static partial void BusOffered(this ILogger log, string device, string why);

    [LoggerMessage(307, LogLevel.Information, "partition {Partition}: bus channel of {Device} rescinded; VM-H closes it when its queues have stopped")]
    internal static partial void BusTakenBack(this ILogger log, int partition, string device);

    [LoggerMessage(308, LogLevel.Error, "bus of {Device} not offered: process {Peer} listens on {Socket}, but VM-H is process {HostPartition}; a running device cannot move to another VM-H")]
    internal static partial void BusRefused(this ILogger log, string device, int peer, string socket, int hostPartition);

    [LoggerMessage(309, LogLevel.Error, "bus of {Device}: VM-H's socket is not waited for: {Why}; SIGUSR2 offers the bus again")]
    internal static partial void BusNotProbed(this ILogger log, string device, string why);

    [LoggerMessage(401, LogLevel.Warning, "partition {Partition}: crash, step {Sequence}: {What}")]
    internal static partial void CrashStep(this ILogger log, int partition, int sequence, string what);
}
