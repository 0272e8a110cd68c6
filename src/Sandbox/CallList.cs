namespace VmShunt.Sandbox;

/// <summary>
/// The system calls that the servers make once they serve, by what needs them; found by tracing. docs/sandbox.md has the same list for
/// readers.
/// </summary>
internal static class CallList
{
    private const uint ProtExec = 4, ProtWrite = 2, CloneThread = 0x1_0000;

    // BLKGETSIZE64, BLKDISCARD, BLKZEROOUT, BLKSSZGET, BLKIOMIN, BLKIOOPT, BLKALIGNOFF, BLKPBSZGET, BLKROGET; FIONREAD, FIONBIO; TCGETS, TIOCGWINSZ.
    private static readonly uint[] s_ioctls = [0x8008_1272, 0x1277, 0x127F, 0x1268, 0x1278, 0x1279, 0x127A, 0x127B, 0x125E, 0x541B, 0x5421, 0x5401, 0x5413];

    // PR_SET_NAME, PR_SET_VMA.
    private static readonly uint[] s_controls = [15, 0x5356_4D41];

    private static readonly (int, string)[] s_files =
    [
        (0, "read"), (1, "write"), (3, "close"), (4, "stat"), (5, "fstat"), (6, "lstat"), (8, "lseek"), (17, "pread64"), (18, "pwrite64"), (19, "readv"), (20, "writev"), (21, "access"),
        (32, "dup"), (72, "fcntl"), (73, "flock"), (74, "fsync"), (75, "fdatasync"), (77, "ftruncate"), (79, "getcwd"), (82, "rename"), (87, "unlink"), (89, "readlink"),
        (137, "statfs"), (138, "fstatfs"), (217, "getdents64"), (221, "fadvise64"), (257, "openat"), (262, "newfstatat"), (263, "unlinkat"), (264, "renameat"),
        (267, "readlinkat"), (269, "faccessat"), (285, "fallocate"), (295, "preadv"), (296, "pwritev"), (316, "renameat2"), (319, "memfd_create"), (332, "statx"), (439, "faccessat2"),
    ];

    private static readonly (int, string)[] s_sockets =
    [
        (43, "accept"), (44, "sendto"), (45, "recvfrom"), (46, "sendmsg"), (47, "recvmsg"), (48, "shutdown"), (49, "bind"), (50, "listen"), (51, "getsockname"),
        (52, "getpeername"), (53, "socketpair"), (54, "setsockopt"), (55, "getsockopt"), (288, "accept4"),
    ];

    private static readonly (int, string)[] s_waiting =
    [
        (7, "poll"), (23, "select"), (24, "sched_yield"), (35, "nanosleep"), (202, "futex"), (219, "restart_syscall"), (228, "clock_gettime"), (229, "clock_getres"), (230, "clock_nanosleep"),
        (232, "epoll_wait"), (233, "epoll_ctl"), (271, "ppoll"), (281, "epoll_pwait"), (290, "eventfd2"), (291, "epoll_create1"), (293, "pipe2"),
    ];

    private static readonly (int, string)[] s_process =
    [
        (11, "munmap"), (12, "brk"), (13, "rt_sigaction"), (14, "rt_sigprocmask"), (15, "rt_sigreturn"), (25, "mremap"), (26, "msync"), (27, "mincore"), (28, "madvise"),
        (39, "getpid"), (60, "exit"), (63, "uname"), (96, "gettimeofday"), (97, "getrlimit"), (98, "getrusage"), (99, "sysinfo"), (102, "getuid"), (104, "getgid"),
        (107, "geteuid"), (108, "getegid"), (110, "getppid"), (131, "sigaltstack"), (140, "getpriority"), (141, "setpriority"), (143, "sched_getparam"), (145, "sched_getscheduler"), (146, "sched_get_priority_max"), (147, "sched_get_priority_min"), (186, "gettid"), (203, "sched_setaffinity"), (204, "sched_getaffinity"),
        (218, "set_tid_address"), (231, "exit_group"), (273, "set_robust_list"), (309, "getcpu"), (318, "getrandom"), (324, "membarrier"), (334, "rseq"),
    ];

    // sendmmsg: libc asks name servers for two kinds of address with one call.
    private static readonly (int, string)[] s_names = [(299, "recvmmsg"), (307, "sendmmsg")];

    private static readonly (int, string)[] s_uring = [(425, "io_uring_setup"), (426, "io_uring_enter"), (427, "io_uring_register")];

    /// <summary>The calls that kill the process with SIGSYS: no code path of a server makes them.</summary>
    internal static IReadOnlyList<(int Number, string Name)> Fatal { get; } =
    [
        (59, "execve"), (322, "execveat"), (101, "ptrace"), (165, "mount"), (166, "umount2"), (155, "pivot_root"), (161, "chroot"), (428, "open_tree"), (429, "move_mount"),
        (430, "fsopen"), (431, "fsconfig"), (432, "fsmount"), (433, "fspick"), (442, "mount_setattr"), (321, "bpf"), (175, "init_module"), (313, "finit_module"),
        (176, "delete_module"), (246, "kexec_load"), (320, "kexec_file_load"),
    ];

    /// <summary>The calls of a server with these needs.</summary>
    /// <param name="needs">What its options say.</param>
    /// <param name="isNative">It is a native binary: it maps no code any more.</param>
    /// <param name="processId">Its own id, the only one that it may signal.</param>
    internal static List<CallRule> For(SandboxNeeds needs, bool isNative, int processId)
    {
        List<CallRule> rules =
        [
            // The most frequent ones first: the filter is searched from its start.
            .. Plain(s_waiting), .. Plain(s_files), .. Plain(s_sockets), .. Plain(s_process),
            .. Memory(isNative),
            Only(16, "ioctl", 1, s_ioctls),
            Only(157, "prctl", 0, s_controls),
            Only(62, "kill", 0, [(uint)processId]),
            Only(234, "tgkill", 0, [(uint)processId]),
            // Limits are read, not set.
            Only(302, "prlimit64", 2, [0]) with { IsAddress = true },
            Only(41, "socket", 0, needs.UsesNetwork ? [1, 2, 10] : [1]),
            // SCHED_OTHER: the runtime sets it for each of its threads.
            Only(144, "sched_setscheduler", 1, [0]),
            // Threads, not processes.
            new CallRule(56, "clone") { Argument = 0, Mask = CloneThread, Values = [CloneThread] },
            // libc uses clone then, whose flags the filter can see.
            new CallRule(435, "clone3") { Error = LinuxCall.ENOSYS },
        ];
        if (needs.Connects || needs.UsesNetwork) rules.Add(new CallRule(42, "connect"));
        if (needs.UsesNetwork) rules.AddRange(Plain(s_names));
        if (needs.UsesUring) rules.AddRange(Plain(s_uring));
        return rules;
    }

    private static CallRule[] Memory(bool isNative)
    {
        // The JIT makes code executable, never writable at the same time (DOTNET_EnableWriteXorExecute).
        var mask = isNative ? ProtExec : ProtExec | ProtWrite;
        IReadOnlyList<uint> values = isNative ? [0] : [0, ProtWrite, ProtExec];
        return [new(9, "mmap") { Argument = 2, Mask = mask, Values = values }, new(10, "mprotect") { Argument = 2, Mask = mask, Values = values }];
    }

    private static CallRule Only(int number, string name, int argument, IReadOnlyList<uint> values) => new(number, name) { Argument = argument, Values = values };

    private static IEnumerable<CallRule> Plain((int Number, string Name)[] calls) => calls.Select(static call => new CallRule(call.Number, call.Name));
}
