namespace VmShunt.HostPartition.Disk;

/// <summary><c>--on-full</c>: what a write does when the host's disk is full.</summary>
internal enum NoSpacePolicy
{
    /// <summary>It completes with an I/O error.</summary>
    Fail,

    /// <summary>It waits for free space, and blocks its queue.</summary>
    Wait,
}
