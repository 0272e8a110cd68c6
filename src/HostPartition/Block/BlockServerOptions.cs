using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using VmShunt.BlockBackend.VirtioBlk;
using VmShunt.Ring.Notification;
using VmShunt.Ring.Serving;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Ring.Virtqueue;

namespace VmShunt.BlockBackend;

/// <summary>How a <see cref="BlockServer"/> serves its disk.</summary>
public sealed record BlockServerOptions
{
    /// <summary>The number of request queues of a session, 1 to 64; by default two per processor.</summary>
    public int Queues { get; init; } = Math.Min(2 * Environment.ProcessorCount, 64);

    /// <summary>The largest queue size: a power of two up to 32768.</summary>
    public int QueueSize { get; init; } = 1024;

    /// <summary>
    /// The most data segments of a request on the ring path (seg_max), 1 to 510; at most two less than <see cref="QueueSize"/>. A
    /// guest without indirect descriptors hangs when its rings have fewer than two entries more: the default fits QEMU's 128.
    /// </summary>
    public int MaxSegments { get; init; } = VirtioBlkConfigSpace.DefaultSegments;

    /// <summary>
    /// Whether a guest on the ring path can migrate. QEMU does not migrate a guest that has the emulated disk, too, and does not
    /// ask: a server of both paths offers it only for guests that have the ring alone.
    /// </summary>
    public bool IsMigratable { get; init; } = true;

    /// <summary>How queue threads wait for requests.</summary>
    public WaitPolicy Wait { get; init; } = WaitPolicy.Adaptive;

    /// <summary>
    /// Threads that serve the queues of all sessions, for disks that never block (<c>memory:</c>, <c>null:</c>): 0 to 64; 0
    /// for a thread per queue; by default one per two processors.
    /// </summary>
    public int Pollers { get; init; } = Math.Clamp(Environment.ProcessorCount / 2, 1, PollGroups.Max);

    /// <summary>The request types that the ring path carries out. Others complete with UNSUPP; a shunt that is configured to send them is rejected.</summary>
    public RequestTypes Primary { get; init; } = RequestTypes.All;

    /// <summary>The most calls into a <see cref="BlockDevice"/> or <see cref="VectoredBlockDevice"/> at once, over all queues, sessions and both paths.</summary>
    public int MaxConcurrency { get; init; } = 1;

    /// <summary>Whether a <see cref="BlockDevice"/> gets a private copy of every write, which the guest cannot change any more.</summary>
    public bool StableWrites { get; init; }

    /// <summary>What a write does when the disk is full.</summary>
    public NoSpacePolicy OnFull { get; init; } = NoSpacePolicy.Fail;

    /// <summary>How long a request of an <see cref="AsyncBlockDevice"/> may take after its session ended; then it is failed.</summary>
    public TimeSpan DrainTimeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>For tests: every use of a request's memory after the request completed throws. Allocates per request.</summary>
    public bool DetectMisuse { get; init; }

    /// <summary>Whether the disk stays open when the server is disposed.</summary>
    public bool LeaveOpen { get; init; }

    /// <summary>What becomes of the emulated disk of a guest that has both paths. Needs <c>VmShunt.AhciBackend</c>, and the guest QEMU 10.0 or later.</summary>
    public TransitionMode Transition { get; init; }

    /// <summary>
    /// Whether the vhost-user and the vfio-user socket are one guest's, and a second session on either is refused. Otherwise two
    /// sessions are one guest's if they are the only ones of their process. For <see cref="TransitionMode.Auto"/>.
    /// </summary>
    public bool PairsSockets { get; init; }

    /// <summary>
    /// The most bytes that a guest's driver reads of the emulated disk which only probes it: then the disk goes when the driver of the
    /// ring starts. By default twice what Linux, udev and blkid read of a disk of four partitions. For <see cref="TransitionMode.Auto"/>.
    /// </summary>
    public long ProbeLimit { get; init; } = 9 << 20;

    /// <summary>For sessions, errors and mistakes of guests.</summary>
    public ILogger Log { get; init; } = NullLogger.Instance;

    /// <summary>The clock of the error log's rate.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <exception cref="ArgumentException">A value is out of its range; the message has the range.</exception>
    internal void Check()
    {
        Require(Queues is >= 1 and <= 64, nameof(Queues), Queues, "1 to 64");
        Require(SplitLayout.IsValidSize(QueueSize), nameof(QueueSize), QueueSize, "a power of two up to 32768");
        Require(MaxSegments is >= 1 and <= VirtioBlkConfigSpace.MostSegments, nameof(MaxSegments), MaxSegments, $"1 to {VirtioBlkConfigSpace.MostSegments}");
        Require(Pollers is >= 0 and <= PollGroups.Max, nameof(Pollers), Pollers, $"0 to {PollGroups.Max}");
        Require(MaxConcurrency > 0, nameof(MaxConcurrency), MaxConcurrency, "at least 1");
        Require(ProbeLimit >= 0, nameof(ProbeLimit), ProbeLimit, "at least 0");
        Require(DrainTimeout >= TimeSpan.Zero && DrainTimeout.TotalMilliseconds < int.MaxValue, nameof(DrainTimeout), DrainTimeout, "0 to 24 days");
    }

    private static void Require(bool isValid, string option, object value, string range)
    {
        if (!isValid) throw new ArgumentException($"{nameof(BlockServerOptions)}.{option} is {value}; it takes {range}", option);
    }
}
