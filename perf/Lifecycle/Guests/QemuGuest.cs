using VmShunt.Perf.Launch;
using VmShunt.Perf.Lifecycle.Processes;

namespace VmShunt.Perf.Lifecycle.Guests;

/// <summary>A QEMU process with vhost-user devices, and, if it runs our Linux, a shell on its serial line.</summary>
internal sealed class QemuGuest : IAsyncDisposable
{
    /// <summary>The answer of our Linux to a command of which characters are missing.</summary>
    internal const string Garbled = "GARBLED";

    /// <summary>What our Linux writes when its shell reads.</summary>
    internal const string Ready = "GUEST-READY";

    /// <summary>What our Linux writes, as a crash kernel, before it writes the memory of the kernel that crashed, and after it.</summary>
    internal const string Dumping = "GUEST-DUMPS", Dumped = "GUEST-HAS-DUMPED";

    private const int MostTries = 5;

    private readonly ChildProcess _process;
    private int _commands;

    private QemuGuest(ChildProcess process) => _process = process;

    internal int Id => _process.Id;

    internal Task Ended => _process.Ended;

    internal int ExitCode => _process.ExitCode;

    /// <summary>The last lines that QEMU wrote to standard error.</summary>
    internal IReadOnlyList<string> LastErrors => _process.LastErrors;

    /// <summary>A disk as QEMU's options. The guest numbers its disks in the order of these options.</summary>
    /// <param name="socket">VM-H's.</param>
    /// <param name="packed">The ring's layout.</param>
    /// <param name="queues">The number of rings.</param>
    /// <param name="reconnect">The options of the connection, such as <see cref="QemuProgram.Reconnect"/>.</param>
    /// <param name="number">Its number.</param>
    /// <param name="more">More options of the device.</param>
    internal static IEnumerable<string> Disk(string socket, bool packed = false, int queues = 1, string reconnect = "", int number = 0, string more = "") =>
    [
        "-chardev", $"socket,id=ring{number},path={socket}{reconnect}",
        "-device", $"vhost-user-blk-pci,chardev=ring{number},packed={(packed ? "on" : "off")},num-queues={queues}{more}",
    ];

    /// <summary>An entropy source as QEMU's options.</summary>
    internal static IEnumerable<string> Entropy(string socket, bool packed) =>
        ["-chardev", $"socket,id=entropy,path={socket}", "-device", $"vhost-user-rng-pci,chardev=entropy,packed={(packed ? "on" : "off")}"];

    /// <summary>An emulated disk as QEMU's options; needs <see cref="QemuSid"/>.</summary>
    /// <param name="socket">VM-H's.</param>
    /// <param name="isBooted">Whether firmware boots from it.</param>
    internal static IEnumerable<string> EmulatedDisk(string socket, bool isBooted = false) =>
        ["-device", $$$"""{"driver":"vfio-user-pci","id":"emulated"{{{(isBooted ? ",\"bootindex\":0" : "")}}},"socket":{"type":"unix","path":"{{{socket}}}"}}"""];

    /// <summary>Starts QEMU with memory that VM-H can map, the serial line on standard input and output.</summary>
    internal static QemuGuest Start(params IEnumerable<string> options) => StartOn(QemuProgram.Machine, options);

    /// <summary>As <see cref="Start"/>, with a QEMU of choice.</summary>
    internal static QemuGuest StartOn(QemuProgram qemu, params IEnumerable<string> options) => StartOn(qemu, isShared: true, options);

    /// <summary>As <see cref="Start"/>, with memory that VM-H can map, or cannot.</summary>
    internal static QemuGuest StartOn(QemuProgram qemu, bool isShared, IEnumerable<string> options, int megabytes = LinuxBoot.UsualMegabytes) => new(Programs.Start(
        qemu.Command[0],
        [
            .. qemu.Command[1..],
            "-M", "q35", "-accel", "tcg", "-cpu", "max", "-m", $"{megabytes}M", "-nodefaults", "-display", "none",
            "-object", isShared ? $"memory-backend-memfd,id=ram,size={megabytes}M,share=on" : $"memory-backend-ram,id=ram,size={megabytes}M", "-numa", "node,memdev=ram",
            "-serial", "stdio", "-device", "isa-debug-exit,iobase=0x501,iosize=4", .. options,
        ]));

    /// <summary>Starts our Linux and waits for its shell.</summary>
    internal static Task<QemuGuest> BootLinuxAsync(int processors, params IEnumerable<string> options) => BootLinuxOnAsync(QemuProgram.Machine, processors, options);

    /// <summary>As <see cref="BootLinuxAsync"/>, with a QEMU of choice.</summary>
    internal static Task<QemuGuest> BootLinuxOnAsync(QemuProgram qemu, int processors, params IEnumerable<string> options) =>
        BootLinuxWithAsync("", qemu, processors, options);

    /// <summary>As <see cref="BootLinuxAsync"/>, with further arguments of the kernel and a QEMU of choice.</summary>
    internal static Task<QemuGuest> BootLinuxWithAsync(string arguments, QemuProgram qemu, int processors, params IEnumerable<string> options) =>
        BootLinuxWithAsync(new LinuxBoot(arguments), qemu, processors, options);

    /// <inheritdoc cref="BootLinuxWithAsync(string, QemuProgram, int, IEnumerable{string})"/>
    internal static async Task<QemuGuest> BootLinuxWithAsync(LinuxBoot boot, QemuProgram qemu, int processors, params IEnumerable<string> options)
    {
        var guest = StartLinux(boot, qemu, processors, options);
        try
        {
            await guest.WaitForAsync(Ready);
            return guest;
        }
        catch
        {
            await guest.DisposeAsync();
            throw;
        }
    }

    /// <summary>Starts a QEMU that waits for our Linux to migrate to it; the options but the sockets are those of its source.</summary>
    internal static QemuGuest AwaitLinux(string uri, QemuProgram qemu, int processors, params IEnumerable<string> options) =>
        StartLinux(new LinuxBoot(), qemu, processors, ["-incoming", uri, .. options]);

    private static QemuGuest StartLinux(LinuxBoot boot, QemuProgram qemu, int processors, IEnumerable<string> options) => StartOn(
        qemu,
        isShared: true,
        ["-smp", $"{processors}", "-kernel", GuestKernel.Image!, "-initrd", boot.Archive ?? Initramfs.File, "-append", $"console=ttyS0 quiet no_timer_check {boot.Arguments}", .. options],
        boot.Megabytes);

    /// <summary>Waits for a line on the serial line.</summary>
    internal Task WaitForAsync(string text) => Programs.WaitForLineAsync(_process, text);

    /// <summary>Runs a command in the guest's shell; fails if the command does.</summary>
    /// <returns>Its output.</returns>
    internal async Task<string> RunAsync(string command)
    {
        var (code, said) = await TryAsync(command);
        if (code != 0) throw new GuestException($"{command} exited with {code}: {said}");
        return said;
    }

    /// <summary>Runs a command in the guest's shell.</summary>
    internal async Task<(int Code, string Said)> TryAsync(string command)
    {
        var mark = $"done-{++_commands}";
        // The mark is put together by the shell, so that an echo of the command does not contain it.
        var line = $"{{ {command}; }} 2>&1; code=$?; echo; echo \"do\"\"ne-{_commands}:$code\"";
        await SendAsync(line);
        var tries = 1;
        var said = new List<string>();
        using var limit = new CancellationTokenSource(Until.Patience);
        try
        {
            while (true)
            {
                var answer = (await _process.Output.ReadAsync(limit.Token)).TrimEnd('\r');
                if (answer.StartsWith(mark + ':', StringComparison.Ordinal)) return (int.Parse(answer[(mark.Length + 1)..]), string.Join('\n', said).Trim());
                if (answer == Garbled && tries++ < MostTries) await SendAsync(line);
                else said.Add(answer);
            }
        }
        catch (Exception e) when (e is OperationCanceledException or System.Threading.Channels.ChannelClosedException)
        {
            throw new TimeoutException($"the guest did not answer '{command}' within {Until.Patience.TotalSeconds} s; it wrote:\n{string.Join('\n', _process.LastOutput.TakeLast(40))}");
        }
    }

    /// <summary>Reboots the guest and waits for its shell; QEMU must have been started to allow it.</summary>
    internal async Task RebootAsync()
    {
        await SendAsync("reboot -f");
        await WaitForAsync(Ready);
    }

    /// <summary>Sends a command that does not return.</summary>
    internal Task SendWithoutAnswerAsync(string command) => SendAsync(command);

    /// <summary>Kills QEMU and waits for its end.</summary>
    internal async Task KillAsync()
    {
        _ = Signal.Send(Id, Signal.Kill);
        await Ended;
        await DisposeAsync();
    }

    // Only ASCII: a character is a byte.
    private Task SendAsync(string line) => _process.SendAsync($"{line.Length}:{line}");

    public ValueTask DisposeAsync() => _process.DisposeAsync();
}
