using VmShunt.EndToEnd.Processes;
using VmShunt.Perf.Launch;

namespace VmShunt.EndToEnd.Qemu;

/// <summary>
/// A Linux guest in QEMU under verified load on a disk that stops answering: QEMU stops, continues and resets the guest at once,
/// the disk's requests are executed when it answers again, and VM-H can be ended meanwhile.
/// </summary>
public sealed class StalledDiskTests : IAsyncLifetime, IDisposable
{
    private const int Disks = 2, DiskBytes = 32 << 20;

    private readonly TestFolder _folder = new();
    private readonly List<ChildProcess> _servers = [];
    private readonly List<RestartableDisk> _disks = [];
    private QemuGuest? _guest;
    private QemuMonitor? _monitor;

    public Task InitializeAsync() => Task.CompletedTask;

    public async Task DisposeAsync()
    {
        // After a failure a server may have exited.
        foreach (var server in _servers) _ = Signal.Send(server.Id, ProcessTable.SIGCONT);
        _monitor?.Dispose();
        if (_guest is not null) await _guest.DisposeAsync();
        foreach (var disk in _disks) await disk.DisposeAsync();
        foreach (var server in _servers) await server.DisposeAsync();
    }

    public void Dispose() => _folder.Dispose();

    [LinuxGuestTheory]
    [QemuData(QemuDataAttribute.Sid)]
    public async Task A_guest_whose_disk_stalls_is_stopped_continued_and_reset(string qemu)
    {
        await BootAsync(QemuProgram.Of(qemu));
        foreach (var disk in _disks) await disk.StartLoadAsync();
        foreach (var disk in _disks) await disk.ProgressAsync("the start of the load");
        await StallAsync();
        for (var stops = 0; stops < 2; stops++)
        {
            await _monitor!.ExecuteAsync("stop");
            await _monitor.ExecuteAsync("cont");
        }
        Resume();
        foreach (var disk in _disks) await disk.ProgressAsync("stop and cont while it stalled");
        foreach (var disk in _disks) await disk.AssertLoadWellAsync();
        Assert.All(_disks, static disk => Assert.Contains(disk.Host.LastErrors, static line => line.Contains("was stopped while the disk had not answered", StringComparison.Ordinal)));

        foreach (var disk in _disks) await disk.StartLoadAsync();
        await StallAsync();
        await _monitor!.ExecuteAsync("system_reset");
        await _monitor.ExecuteAsync("query-status");
        Resume();
        await _guest!.WaitForAsync(QemuGuest.Ready);
        foreach (var disk in _disks) await disk.StartLoadAsync();
        foreach (var disk in _disks) await disk.ProgressAsync("a reset while it stalled");

        // VM-H is ended, and the next one executes what the disk has not answered.
        await StallAsync();
        foreach (var disk in _disks) ProcessTable.Send(disk.Host.Id, Signal.Terminate);
        foreach (var disk in _disks)
        {
            // The request stays in the front-end's record; VM-H does not wait for a server that is silent.
            Assert.Equal(0, (await Programs.WaitForEndAsync(disk.Host)).ExitCode);
        }
        Resume();
        foreach (var disk in _disks) await disk.ReplaceHostAsync();
        foreach (var disk in _disks) await disk.ProgressAsync("the end of VM-H while it stalled");
        foreach (var disk in _disks) await disk.AssertLoadWellAsync();
    }

    private async Task BootAsync(QemuProgram qemu)
    {
        var options = new List<string>(QemuMonitor.Options(_folder["monitor"]));
        for (var i = 0; i < Disks; i++)
        {
            string nbd = _folder[$"nbd{i}"], socket = _folder[$"ring{i}"], file = _folder[$"disk{i}.img"];
            using (var image = File.Create(file)) image.SetLength(DiskBytes);
            _servers.Add(Programs.Start(
                Installed.Require("qemu-storage-daemon"), "--blockdev", $"driver=file,node-name=disk,filename={file}",
                "--nbd-server", $"addr.type=unix,addr.path={nbd}", "--export", "type=nbd,id=export,node-name=disk,name=disk,writable=on"));
            await Until.TrueAsync(() => UnixSocket.IsListening(nbd), "qemu-storage-daemon listens");
            var disk = new RestartableDisk(() => _guest!, "vd" + (char)('a' + i), ["--disk", $"nbd+unix:///disk?socket={nbd}", "--vhost-user", socket]);
            _disks.Add(disk);
            await disk.StartHostAsync();
            options.AddRange(QemuGuest.Disk(socket, packed: i % 2 == 1, reconnect: qemu.Reconnect, number: i));
        }
        _guest = await QemuGuest.BootLinuxOnAsync(qemu, 1, options);
        _monitor = await QemuMonitor.ConnectAsync(_folder["monitor"]);
    }

    private async Task StallAsync()
    {
        foreach (var server in _servers) ProcessTable.Send(server.Id, ProcessTable.SIGSTOP);
        // The load is continuous, so a request is in flight at once.
        await Task.Delay(200);
    }

    private void Resume()
    {
        foreach (var server in _servers) ProcessTable.Send(server.Id, ProcessTable.SIGCONT);
    }
}
