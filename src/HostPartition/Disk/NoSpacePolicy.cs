namespace VmShunt.HostPartition.Disk;

/// <summary>What <c>--on-full</c> names: what becomes of a write when the host's disk has no room for it.</summary>
internal enum NoSpacePolicy
{
    /// <summary>The guest gets an I/O error.</summary>
    Fail,

    /// <summary>The write, and its queue, wait until there is room.</summary>
    Wait,
}
