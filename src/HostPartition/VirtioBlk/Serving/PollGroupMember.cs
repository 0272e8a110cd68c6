using VmShunt.Ring.Interop;

namespace VmShunt.HostPartition.VirtioBlk.Serving;

/// <summary>A ring as a <see cref="PollGroup"/> sees it. All of it is the poller's thread's while the poller has the ring.</summary>
internal abstract class PollGroupMember
{
    /// <summary>Signalled by the driver while the ring is armed.</summary>
    internal abstract EventFd Kick { get; }

    /// <summary>Whether it is to be finished.</summary>
    internal abstract bool IsStopping { get; }

    /// <summary>Where the poller has it, or −1 when it does not.</summary>
    internal int Place { get; set; } = -1;

    /// <summary>What the poller's sleep calls it.</summary>
    internal int Tag { get; set; }

    /// <summary>How often it was visited in vain since it last had work.</summary>
    internal int VainVisits { get; set; }

    /// <summary>The poller's last window of time in which it had work.</summary>
    internal int LastWindow { get; set; } = -1;

    /// <summary>Whether the driver was asked for a kick.</summary>
    internal bool IsArmed { get; set; }

    /// <summary>Does what there is to do, but not more than others can wait for.</summary>
    internal abstract RingVisit Visit();

    /// <summary>Asks for a kick.</summary>
    /// <returns>True when there is work already.</returns>
    internal abstract bool Arm();

    /// <summary>Asks for no kick.</summary>
    internal abstract void Disarm();

    /// <summary>The poller has let it go: it goes on on a thread of its own.</summary>
    /// <param name="forGood">Otherwise it comes back when it is quiet.</param>
    internal abstract void ServeAlone(bool forGood);

    /// <summary>The poller has let it go because it is stopping: what must be is done, and who stops it is told.</summary>
    internal abstract void Finish();
}

/// <summary>What came of a visit to a ring.</summary>
internal enum RingVisit
{
    /// <summary>There was nothing to do.</summary>
    Empty,

    /// <summary>Something was done.</summary>
    Worked,

    /// <summary>The ring is broken, or what is next may take long: others should not have to wait for it.</summary>
    Unsuitable,
}
