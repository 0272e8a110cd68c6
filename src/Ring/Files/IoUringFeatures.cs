namespace VmShunt.Ring.Files;

/// <summary>Optional features that make an <see cref="IoUring"/> cheaper. One that the kernel lacks is left out; results are the same.</summary>
[Flags]
public enum IoUringFeatures
{
    /// <summary>No feature.</summary>
    None = 0,

    /// <summary>An operation on one piece names the piece itself; the kernel need not read a list (IORING_OP_READ, Linux 5.6).</summary>
    SinglePiece = 1,

    /// <summary>
    /// A completion does not interrupt a running thread: the kernel posts it when the thread enters it next, to submit, wait,
    /// sleep or yield (IORING_SETUP_COOP_TASKRUN, Linux 5.19).
    /// </summary>
    Cooperative = 2,

    /// <summary>All features.</summary>
    All = SinglePiece | Cooperative,
}
