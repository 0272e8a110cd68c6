using VmShunt.Terminal;

namespace VmShunt.Sandbox;

/// <summary>
/// For tests: tries from inside what the sandbox forbids, and exits. A hidden option names one probe, or <c>errors</c> for all
/// that do not kill the process.
/// </summary>
internal static class SandboxProbe
{
    internal const string Errors = "errors";

    private const nint AT_FDCWD = -100, O_RDWR = 2, O_CREAT = 0x40, SIGCHLD = 17;
    private const nint PrivateAnonymous = 0x22, Page = 4096, ReadWrite = 3, ReadExecute = 5, ReadWriteExecute = 7;

    // Loopback at port 9, which no option names.
    private static readonly byte[] s_discardPort = [2, 0, 0, 9, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];

    private static readonly byte[] s_unixPath = [1, 0, .. "/run/vmshunt-probe\0"u8];

    private static readonly Dictionary<string, Func<nint>> s_refused = new()
    {
        ["read-other-file"] = static () => Open("/etc/passwd", 0),
        ["write-other-file"] = static () => Open("/dev/shm/vmshunt-probe", O_RDWR | O_CREAT),
        ["read-another-process"] = static () => Open("/proc/1/environ", 0),
        ["write-own-memory"] = static () => Open("/proc/self/mem", O_RDWR),
        ["socket-packet"] = static () => LinuxCall.Make(41, 17, 3),
        ["socket-netlink"] = static () => LinuxCall.Make(41, 16, 3),
        ["socket-vsock"] = static () => LinuxCall.Make(41, 40, 1),
        ["connect-inet"] = static () => Connect(2, s_discardPort),
        ["bind-inet"] = static () => LinuxCall.Make(41, 2, 1) is >= 0 and var socket ? LinuxCall.Make(49, socket, s_discardPort, s_discardPort.Length) : -1,
        ["fork"] = static () => LinuxCall.Make(56, SIGCHLD),
        ["vfork"] = static () => LinuxCall.Make(58),
        ["kill-another-process"] = static () => LinuxCall.Make(62, 1),
        ["raise-capabilities"] = static () => Privileges.SetCapabilities(0xFF),
        ["setuid"] = static () => LinuxCall.Make(105),
        ["unshare"] = static () => LinuxCall.Make(272, 0x1000_0000),
        ["setns"] = static () => LinuxCall.Make(308, 0),
        ["chmod"] = static () => LinuxCall.Make(90, LinuxCall.Text("/etc/passwd"), 0x1FF, 0),
        ["link"] = static () => LinuxCall.Make(86, LinuxCall.Text("/etc/passwd"), LinuxCall.Text("/dev/shm/vmshunt-probe")),
        ["mknod"] = static () => LinuxCall.Make(133, LinuxCall.Text("/dev/shm/vmshunt-probe"), 0x2180, 0x101),
        ["open-by-handle"] = static () => LinuxCall.Make(304, AT_FDCWD),
        ["userfaultfd"] = static () => LinuxCall.Make(323, 1),
        ["perf-event"] = static () => LinuxCall.Make(298),
        ["keyctl"] = static () => LinuxCall.Make(250),
        ["process-vm-read"] = static () => LinuxCall.Make(310, 1),
        ["set-limit"] = static () => LinuxCall.Make(302, 0, 7, new byte[16], 0),
        ["terminal-input"] = static () => LinuxCall.Make(16, 0, 0x5412),
        ["memory-writable-and-executable"] = static () => LinuxCall.Make(9, 0, Page, ReadWriteExecute, PrivateAnonymous, -1),
    };

    // The JIT needs them.
    private static readonly Dictionary<string, Func<nint>> s_refusedNative = new()
    {
        ["memory-executable"] = static () => LinuxCall.Make(9, 0, Page, ReadExecute, PrivateAnonymous, -1),
        ["memory-made-executable"] = static () => LinuxCall.Make(10, LinuxCall.Make(9, 0, Page, ReadWrite, PrivateAnonymous, -1), Page, ReadExecute),
    };

    // Depend on what the options name.
    private static readonly Dictionary<string, Func<nint>> s_single = new()
    {
        ["connect-unix"] = static () => Connect(1, s_unixPath),
        ["uring"] = static () => LinuxCall.Make(425, 1, new byte[120], 0),
    };

    /// <summary>Runs one probe, or all that do not kill, and writes a line for each. Does not return.</summary>
    internal static void Run(string name, bool isNative)
    {
        if (CallList.Fatal.FirstOrDefault(call => call.Name == name) is { Name: not null } fatal) Say(name, LinuxCall.Make(fatal.Number));
        else if (s_single.TryGetValue(name, out var probe)) Say(name, probe());
        else
            foreach (var (key, call) in isNative ? s_refused.Concat(s_refusedNative) : s_refused) Say(key, call());
        _ = LinuxCall.Make(231);
    }

    private static void Say(string name, nint result)
    {
        var error = LinuxCall.LastError;
        // The child of a process that could fork.
        if (result == 0 && name is "fork" or "vfork") _ = LinuxCall.Make(231);
        OutputLine.Write(result == -1 ? $"probe {name}: errno {error}" : $"probe {name}: allowed");
    }

    private static nint Open(string path, nint flags) => LinuxCall.Make(LinuxCall.OpenAt, AT_FDCWD, LinuxCall.Text(path), flags, 0x180);

    private static nint Connect(nint family, byte[] address) => LinuxCall.Make(41, family, 1) is >= 0 and var socket ? LinuxCall.Make(42, socket, address, address.Length) : -1;
}
