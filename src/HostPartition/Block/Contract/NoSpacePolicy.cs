namespace VmShunt.BlockBackend;

/// <summary>What a write does when the host's disk is full.</summary>
public enum NoSpacePolicy
{
    /// <summary>It completes with an I/O error.</summary>
    Fail,

    /// <summary>It waits for free space, and blocks its queue.</summary>
    Wait,
}
