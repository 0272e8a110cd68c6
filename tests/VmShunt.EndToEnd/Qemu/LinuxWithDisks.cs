using VmShunt.EndToEnd.Processes;
using VmShunt.Perf.Launch;

namespace VmShunt.EndToEnd.Qemu;

/// <summary>A disk of the guest and the VM-H behind it.</summary>
/// <param name="Packed">The ring.</param>
/// <param name="Queues">How many rings QEMU offers the guest.</param>
/// <param name="Reconnects">Whether QEMU reconnects to a VM-H that was killed.</param>
/// <param name="HostOptions">Options of VM-H besides disk and socket.</param>
internal sealed record LinuxDiskSpec(bool Packed, int Queues, bool Reconnects, string HostOptions)
{
    internal static IReadOnlyList<LinuxDiskSpec> All { get; } =
    [
        ForFiles(false, 1), ForFiles(false, 4), ForFiles(true, 1), ForFiles(true, 4),
        Described("writethrough", 512), Described("direct", 512), Described("direct", 4096),
        Killed(false), Killed(true),
    ];

    internal static LinuxDiskSpec ForFiles(bool packed, int queues) => new(packed, queues, Reconnects: false, "--queues 4");

    internal static LinuxDiskSpec Described(string cache, int blockBytes) =>
        new(Packed: false, Queues: 1, Reconnects: false, $"--cache {cache} --logical-block-size {blockBytes} --queue-size 128");

    internal static LinuxDiskSpec Killed(bool packed) => new(packed, Queues: 1, Reconnects: true, "");
}

/// <summary>
/// One Linux guest in QEMU for all tests of a class. It has a disk for each of them, each with a VM-H of its own: a boot takes
/// longer than most tests. After a test that failed the next one gets a new guest.
/// </summary>
public sealed class LinuxWithDisks : IAsyncLifetime, IDisposable
{
    /// <summary>The size of every disk. All of it is a hole.</summary>
    internal const int DiskBytes = 48 << 20;

    // As many as the disk with the most queues has: Linux gives a disk no more queues than there are processors.
    private const int Processors = 4;

    private TestFolder _folder = new();
    private ChildProcess?[] _hosts = [];
    private QemuGuest? _guest;

    public Task InitializeAsync() => Task.CompletedTask;

    /// <summary>Runs a test on one of the disks, which no other test uses.</summary>
    internal async Task UseAsync(LinuxDiskSpec spec, Func<LinuxDisk, Task> test)
    {
        try
        {
            if (_guest is null) await BootAsync();
            await test(new LinuxDisk(this, LinuxDiskSpec.All.ToList().IndexOf(spec)));
        }
        catch
        {
            await StopAsync();
            throw;
        }
    }

    public Task DisposeAsync() => StopAsync();

    public void Dispose() => _folder.Dispose();

    private string FileOf(int number) => _folder[$"disk{number}.img"];

    private string SocketOf(int number) => _folder[$"ring{number}"];

    private async Task BootAsync()
    {
        _folder.Dispose();
        _folder = new TestFolder();
        _hosts = new ChildProcess?[LinuxDiskSpec.All.Count];
        for (var i = 0; i < _hosts.Length; i++)
        {
            using (var file = File.Create(FileOf(i))) file.SetLength(DiskBytes);
            await StartHostAsync(i);
        }
        _guest = await QemuGuest.BootLinuxAsync(
            Processors, LinuxDiskSpec.All.SelectMany((spec, i) => QemuGuest.Disk(SocketOf(i), spec.Packed, spec.Queues, spec.Reconnects ? QemuProgram.Machine.Reconnect : "", i)));
    }

    private async Task StartHostAsync(int number) => _hosts[number] = await Programs.StartReadyAsync(
        "vmshunt-host",
        ["--disk", FileOf(number), "--vhost-user", SocketOf(number), .. LinuxDiskSpec.All[number].HostOptions.Split(' ', StringSplitOptions.RemoveEmptyEntries)]);

    private async Task StopAsync()
    {
        if (_guest is not null) await _guest.DisposeAsync();
        _guest = null;
        foreach (var host in _hosts)
        {
            if (host is not null) await host.DisposeAsync();
        }
        _hosts = [];
    }

    /// <summary>One of the guest's disks.</summary>
    internal sealed class LinuxDisk(LinuxWithDisks machine, int number)
    {
        /// <summary>Its name in the guest.</summary>
        internal string Name { get; } = "vd" + (char)('a' + number);

        /// <summary>Its device file in the guest.</summary>
        internal string Device => "/dev/" + Name;

        /// <summary>The file behind it.</summary>
        internal string File => machine.FileOf(number);

        internal ChildProcess Host => machine._hosts[number]!;

        internal QemuGuest Guest => machine._guest!;

        /// <summary>Reads an attribute of the disk from the guest's sysfs.</summary>
        internal Task<string> AttributeAsync(string name) => Guest.RunAsync($"cat /sys/block/{Name}/{name}");

        /// <summary>What the guest's kernel logged about this disk.</summary>
        internal async Task<string> LogAsync() =>
            string.Join('\n', (await Guest.RunAsync("dmesg")).Split('\n').Where(line => line.Contains(Name, StringComparison.Ordinal)));

        /// <summary>Kills VM-H and starts another.</summary>
        internal async Task KillHostAsync()
        {
            ProcessTable.Send(Host.Id, ProcessTable.SIGKILL);
            await Host.Ended;
            await Host.DisposeAsync();
            await machine.StartHostAsync(number);
        }
    }
}
