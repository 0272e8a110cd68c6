using VmShunt.Sandbox;

namespace VmShunt.Tests.Sandbox;

/// <summary>The seccomp filter, run as the kernel runs it; what the kernel itself then does is tested from inside the processes.</summary>
public class CallFilterTests
{
    private const int Own = 4711;
    private const uint NotPermitted = CallFilter.Fail | 1, NotImplemented = CallFilter.Fail | 38;

    private static readonly SandboxNeeds s_few = new([], []);
    private static readonly SandboxNeeds s_all = new([], []) { Connects = true, UsesNetwork = true, UsesTls = true, UsesUring = true };

    private static uint Decide(uint number, ulong[] arguments, bool isNative = true, bool all = false, bool onlyLogs = false) =>
        FilterMachine.Run(CallFilter.Compile(CallList.For(all ? s_all : s_few, isNative, Own), CallList.Fatal, onlyLogs), number, arguments);

    [Theory]
    [InlineData(0, CallFilter.Allow)] // read
    [InlineData(257, CallFilter.Allow)] // openat
    [InlineData(59, CallFilter.KillProcess)] // execve
    [InlineData(322, CallFilter.KillProcess)] // execveat
    [InlineData(101, CallFilter.KillProcess)] // ptrace
    [InlineData(165, CallFilter.KillProcess)] // mount
    [InlineData(321, CallFilter.KillProcess)] // bpf
    [InlineData(320, CallFilter.KillProcess)] // kexec_file_load
    [InlineData(435, NotImplemented)] // clone3
    [InlineData(42, NotPermitted)] // connect
    [InlineData(425, NotPermitted)] // io_uring_setup
    [InlineData(105, NotPermitted)] // setuid
    [InlineData(9999, NotPermitted)]
    [InlineData(0x4000_0000, CallFilter.KillProcess)] // read of the x32 ABI
    [InlineData(uint.MaxValue, CallFilter.Allow)] // skipped by a tracer
    public void A_call_is_allowed_refused_or_kills(uint number, uint decision) => Assert.Equal(decision, Decide(number, []));

    [Theory]
    [InlineData(42)] // connect
    [InlineData(307)] // sendmmsg
    [InlineData(425)] // io_uring_setup
    public void A_feature_brings_its_calls(uint number) => Assert.Equal((NotPermitted, CallFilter.Allow), (Decide(number, []), Decide(number, [], all: true)));

    [Theory]
    [InlineData(41, 0, 1, true)] // socket, AF_UNIX
    [InlineData(41, 0, 2, false)] // AF_INET
    [InlineData(41, 0, 17, false)] // AF_PACKET
    [InlineData(56, 0, 0x3D0F00, true)] // clone of a thread
    [InlineData(56, 0, 17, false)] // a process
    [InlineData(62, 0, Own, true)] // kill
    [InlineData(62, 0, 1, false)]
    [InlineData(16, 1, 0x5421, true)] // ioctl, FIONBIO
    [InlineData(16, 1, 0x5412, false)] // TIOCSTI
    [InlineData(302, 2, 0, true)] // prlimit64 without a new limit
    [InlineData(302, 2, 0x1000, false)]
    [InlineData(302, 2, 0x1_0000_0000, false)]
    [InlineData(9, 2, 3, true)] // mmap, readable and writable
    [InlineData(9, 2, 7, false)]
    [InlineData(9, 2, 5, false)]
    [InlineData(10, 2, 5, false)] // mprotect
    public void An_argument_decides(uint number, int argument, ulong value, bool isAllowed)
    {
        var arguments = new ulong[6];
        arguments[argument] = value;
        Assert.Equal(isAllowed ? CallFilter.Allow : NotPermitted, Decide(number, arguments));
    }

    [Fact]
    public void The_JIT_makes_memory_executable_and_never_writable_at_the_same_time() =>
        Assert.Equal((CallFilter.Allow, NotPermitted), (Decide(10, [0, 0, 5], isNative: false), Decide(10, [0, 0, 7], isNative: false)));

    [Fact]
    public void Another_architecture_kills() =>
        Assert.Equal(CallFilter.KillProcess, FilterMachine.Run(CallFilter.Compile(CallList.For(s_few, true, Own), CallList.Fatal, onlyLogs: false), 0, [], architecture: 0x4000_0003));

    [Theory]
    [InlineData(59)]
    [InlineData(42)]
    [InlineData(9999)]
    public void The_log_mode_refuses_nothing(uint number) => Assert.Equal(CallFilter.LogCall, Decide(number, [], onlyLogs: true));

    [Fact]
    public void No_call_is_listed_twice()
    {
        var numbers = CallList.For(s_all, isNative: false, Own).Select(static rule => rule.Number).Concat(CallList.Fatal.Select(static call => call.Number)).ToList();
        Assert.Equal(numbers.Count, numbers.Distinct().Count());
    }

    [Fact]
    public void A_page_lists_every_call()
    {
        var page = File.ReadAllText(Path.Combine(Architecture.Sources.Root, "docs", "sandbox.md"));
        var names = CallList.For(s_all, isNative: false, Own).Select(static rule => rule.Name).Concat(CallList.Fatal.Select(static call => call.Name));
        Assert.Equal([], names.Where(name => !page.Contains($"`{name}`", StringComparison.Ordinal)));
    }

    [Theory]
    [InlineData(1, 0x1FFFUL)]
    [InlineData(2, 0x3FFFUL)]
    [InlineData(3, 0x7FFFUL)]
    [InlineData(4, 0x7FFFUL)]
    [InlineData(5, 0xFFFFUL)]
    [InlineData(7, 0xFFFFUL)]
    public void A_version_of_Landlock_is_asked_for_the_rights_that_it_has(int version, ulong rights) => Assert.Equal(rights, Landlock.HandledRights(version));
}
