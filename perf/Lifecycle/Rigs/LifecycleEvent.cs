namespace VmShunt.Perf.Lifecycle.Rigs;

/// <summary>What happens to a disk's VM-H, its front-end or its guest.</summary>
internal enum EventKind
{
    /// <summary>VM-H is ended by SIGTERM, and another starts.</summary>
    Terminate,

    /// <summary>VM-H is killed, and another starts.</summary>
    Kill,

    /// <summary>The same, at a system call of the ring's thread.</summary>
    KillAtCall,

    /// <summary>
    /// VM-H is killed, and three others die one after another while the front-end sets its session up; the next one lives.
    /// </summary>
    KillInSetUp,

    /// <summary>SIGUSR1 and SIGUSR2: VM-H closes the socket and its session, and listens again.</summary>
    Withdraw,

    /// <summary>VM-H is stopped by SIGSTOP for two seconds, and continued.</summary>
    Freeze,

    /// <summary>The front-end is killed, and another starts.</summary>
    FrontendKilled,

    /// <summary>The guest is stopped for a second, and continued.</summary>
    Pause,

    /// <summary>VM-H is ended by SIGTERM, and another starts, while the guest is stopped. No row of the matrix.</summary>
    TerminateInPause,

    /// <summary>The machine is reset; the guest boots again.</summary>
    Reset,

    /// <summary>The guest's driver gives the device up and takes it again.</summary>
    Rebind,

    /// <summary>The guest suspends to memory (ACPI S3) and is woken.</summary>
    Suspend,

    /// <summary>The guest moves to another machine.</summary>
    Migrate,

    /// <summary>The same, while the disk has not answered a write of the source. For QEMU with inflight-migration=on.</summary>
    MigrateStalled,
}

/// <summary>A row of the matrix.</summary>
/// <param name="Name">As the table shows it.</param>
/// <param name="Kind">What happens.</param>
/// <param name="SystemCall">Where VM-H is killed.</param>
/// <param name="Engine">VM-H's <c>--engine</c>.</param>
internal sealed record LifecycleEvent(string Name, EventKind Kind, string? SystemCall = null, string Engine = LifecycleEvent.DefaultEngine)
{
    internal const string DefaultEngine = "auto";

    // Those of the thread that serves a ring, without those for memory of the runtime; what each engine adds.
    private static readonly string[] s_calls = ["poll", "read", "write", "pwrite64", "pwritev", "fdatasync", "futex", "sched_yield"];
    private static readonly (string Engine, string Call)[] s_ofEngines = [("pread", "preadv"), ("pread", "pread64"), ("uring", "io_uring_enter")];

    /// <summary>
    /// The rows, in the order in which they happen to one guest. The last ones end the guest, or may lose a disk where INFLIGHT
    /// is withheld.
    /// </summary>
    internal static IReadOnlyList<LifecycleEvent> All { get; } =
    [
        new("SIGSTOP/SIGCONT", EventKind.Freeze),
        new("stop/cont", EventKind.Pause),
        new("unbind/bind", EventKind.Rebind),
        new("S3", EventKind.Suspend),
        new("system_reset", EventKind.Reset),
        new("migrate", EventKind.Migrate),
        new("SIGTERM", EventKind.Terminate),
        new("SIGUSR1/SIGUSR2", EventKind.Withdraw),
        new("SIGKILL", EventKind.Kill),
        .. s_calls.Select(static call => new LifecycleEvent($"SIGKILL at {call}", EventKind.KillAtCall, call)),
        new("SIGKILL in set-up", EventKind.KillInSetUp),
        new("front-end killed", EventKind.FrontendKilled),
        .. s_ofEngines.Select(static of => new LifecycleEvent($"SIGKILL at {of.Call}", EventKind.KillAtCall, of.Call, of.Engine)),
    ];
}
