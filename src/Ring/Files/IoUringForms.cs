namespace VmShunt.Ring.Files;

/// <summary>What makes an <see cref="IoUring"/> cheaper. Each is left out alone where the kernel has it not; what the ring does is the same.</summary>
[Flags]
public enum IoUringForms
{
    /// <summary>None of it.</summary>
    None = 0,

    /// <summary>An operation on one piece names it itself, and no list that the kernel would have to read (IORING_OP_READ, Linux 5.6).</summary>
    SinglePiece = 1,

    /// <summary>
    /// A thread that runs is not interrupted by an operation that ends: it finds out when it is in the kernel next, to
    /// submit, to wait, to sleep or to yield (IORING_SETUP_COOP_TASKRUN, Linux 5.19).
    /// </summary>
    Cooperative = 2,

    /// <summary>All of it.</summary>
    All = SinglePiece | Cooperative,
}
