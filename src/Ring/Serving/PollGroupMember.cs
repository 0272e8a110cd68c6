using VmShunt.Ring.Interop;

namespace VmShunt.Ring.Serving;

/// <summary>A ring in a <see cref="PollGroup"/>. While it is in the group, all members are used by the group's thread only.</summary>
internal abstract class PollGroupMember
{
    /// <summary>Signalled by the driver while the ring is armed.</summary>
    internal abstract EventFd Kick { get; }

    /// <summary>How many notifications its driver was sent.</summary>
    internal abstract long Notifications { get; }

    /// <summary>The same, when the group looked last.</summary>
    internal long SeenNotifications { get; set; }

    /// <summary>Whether the ring is to be stopped.</summary>
    internal abstract bool IsStopping { get; }

    /// <summary>Its index in the group, or −1 when it is not in the group.</summary>
    internal int Index { get; set; } = -1;

    /// <summary>Identifies its kick in the group's epoll set.</summary>
    internal int Tag { get; set; }

    /// <summary>Consecutive visits without work.</summary>
    internal int EmptyVisits { get; set; }

    /// <summary>The last time window in which it had work.</summary>
    internal int LastWindow { get; set; } = -1;

    /// <summary>Whether kicks are enabled.</summary>
    internal bool IsArmed { get; set; }

    /// <summary>Processes a bounded number of requests.</summary>
    internal abstract RingVisit Visit();

    /// <summary>Enables kicks.</summary>
    /// <returns>True when there is work already.</returns>
    internal abstract bool Arm();

    /// <summary>Disables kicks.</summary>
    internal abstract void Disarm();

    /// <summary>Continues on a dedicated thread; the ring has left the group.</summary>
    /// <param name="permanently">Whether it stays there; otherwise it rejoins the group when it is idle.</param>
    internal abstract void ServeOnOwnThread(bool permanently);

    /// <summary>Drains and closes the ring, which is stopping and has left the group.</summary>
    internal abstract void Finish();
}

/// <summary>The result of a visit to a ring.</summary>
internal enum RingVisit
{
    /// <summary>There was no work.</summary>
    Empty,

    /// <summary>There was work.</summary>
    Worked,

    /// <summary>The ring is broken, or its next request is long and would block the other rings.</summary>
    Unsuitable,
}
