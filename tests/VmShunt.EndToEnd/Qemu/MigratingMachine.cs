using VmShunt.EndToEnd.Processes;
using VmShunt.Perf.Launch;

namespace VmShunt.EndToEnd.Qemu;

/// <summary>
/// A Linux guest with a disk on a split and one on a packed ring, which migrates from one QEMU to another. Each QEMU has a
/// VM-H of its own for each disk; both have the same images.
/// </summary>
internal sealed class MigratingMachine : IAsyncDisposable
{
    private const int DiskBytes = 32 << 20;

    private readonly TestFolder _folder = new();
    private readonly QemuProgram _qemu;
    private readonly string _moreOfDisks;
    private readonly List<RestartableDisk> _disks = [];
    private QemuGuest? _guest;
    private QemuMonitor? _monitor;
    private int _generation;

    private MigratingMachine(QemuProgram qemu, string moreOfDisks) => (_qemu, _moreOfDisks) = (qemu, moreOfDisks);

    internal QemuGuest Guest => _guest!;

    internal QemuMonitor Monitor => _monitor!;

    internal IReadOnlyList<RestartableDisk> Disks => _disks;

    /// <param name="qemu">Which QEMU.</param>
    /// <param name="moreOfDisks">More options of each disk's device.</param>
    internal static async Task<MigratingMachine> BootAsync(QemuProgram qemu, string moreOfDisks = "")
    {
        var machine = new MigratingMachine(qemu, moreOfDisks);
        try
        {
            for (var i = 0; i < 2; i++)
            {
                using (var image = File.Create(machine.Image(i))) image.SetLength(DiskBytes);
                var disk = new RestartableDisk(() => machine.Guest, "vd" + (char)('a' + i), machine.ArgumentsOfHost(i));
                machine._disks.Add(disk);
                await disk.StartHostAsync();
            }
            machine._guest = await QemuGuest.BootLinuxOnAsync(qemu, 2, machine.Options());
            machine._monitor = await QemuMonitor.ConnectAsync(machine.MonitorSocket);
            await RestartableDisk.MakeSeedAsync(machine.Guest);
            return machine;
        }
        catch
        {
            await machine.DisposeAsync();
            throw;
        }
    }

    /// <summary>Migrates the guest to a new QEMU and new VM-Hs, and ends the old ones.</summary>
    internal async Task MigrateAsync()
    {
        _generation++;
        var hosts = new List<ChildProcess>();
        for (var i = 0; i < _disks.Count; i++) hosts.Add(await Programs.StartReadyAsync("vmshunt-host", [.. ArgumentsOfHost(i), "--incoming"]));
        var uri = $"unix:{_folder[$"migration{_generation}"]}";
        var next = QemuGuest.AwaitLinux(uri, _qemu, 2, Options());
        var monitor = await QemuMonitor.ConnectWhenReadyAsync(MonitorSocket);
        try
        {
            await Monitor.MigrateAsync(uri, monitor);
        }
        catch (Exception e)
        {
            throw new GuestException($"{e.Message}\nsource: {string.Join('\n', Guest.LastErrors)}\ndestination: {string.Join('\n', next.LastErrors)}\nVM-H: {string.Join('\n', hosts.SelectMany(static host => host.LastErrors))}");
        }
        (var oldGuest, _guest) = (Guest, next);
        (var oldMonitor, _monitor) = (Monitor, monitor);
        oldMonitor.Dispose();
        await oldGuest.KillAsync();
        for (var i = 0; i < _disks.Count; i++)
        {
            var old = _disks[i].Change(hosts[i]);
            Assert.Contains(old.LastErrors, static line => line.Contains("flushed and released", StringComparison.Ordinal));
            ProcessTable.Send(old.Id, Signal.Terminate);
            await Programs.WaitForEndAsync(old);
            await old.DisposeAsync();
        }
    }

    public async ValueTask DisposeAsync()
    {
        _monitor?.Dispose();
        if (_guest is not null) await _guest.DisposeAsync();
        foreach (var disk in _disks) await disk.DisposeAsync();
        _folder.Dispose();
    }

    private string MonitorSocket => _folder[$"monitor{_generation}"];

    private string Image(int disk) => _folder[$"disk{disk}.img"];

    private string Socket(int disk) => _folder[$"ring{disk}-{_generation}"];

    private string[] ArgumentsOfHost(int disk) => ["--disk", Image(disk), "--vhost-user", Socket(disk)];

    private IEnumerable<string> Options() =>
    [
        .. QemuMonitor.Options(MonitorSocket),
        .. Enumerable.Range(0, _disks.Count).SelectMany(i => QemuGuest.Disk(Socket(i), packed: i == 1, reconnect: _qemu.Reconnect, number: i, more: _moreOfDisks)),
    ];
}
