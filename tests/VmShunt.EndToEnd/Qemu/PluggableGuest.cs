using VmShunt.EndToEnd.Processes;

namespace VmShunt.EndToEnd.Qemu;

/// <summary>
/// A Linux guest of QEMU 11.1 with a disk of each ring layout, and room for more devices and memory, for all tests of a class.
/// After a test that failed the next one gets a new guest.
/// </summary>
public sealed class PluggableGuest : IAsyncLifetime, IDisposable
{
    internal const string Port = "port0";

    private const int DiskBytes = 32 << 20;

    private readonly List<RestartableDisk> _disks = [];
    private TestFolder _folder = new();
    private QemuGuest? _guest;
    private QemuMonitor? _monitor;

    internal QemuGuest Guest => _guest!;

    internal QemuMonitor Monitor => _monitor!;

    /// <summary>The disks that it boots with.</summary>
    internal IReadOnlyList<RestartableDisk> Disks => _disks;

    public Task InitializeAsync() => Task.CompletedTask;

    /// <summary>Runs a test on the guest, with verified load on its disks.</summary>
    internal async Task UnderLoadAsync(Func<Task> test)
    {
        try
        {
            if (_guest is null) await BootAsync();
            await StartLoadAsync();
            await test();
            await ProgressAsync("the test");
            foreach (var disk in _disks) await disk.AssertLoadWellAsync();
        }
        catch
        {
            await DisposeAsync();
            throw;
        }
    }

    internal async Task StartLoadAsync()
    {
        foreach (var disk in _disks) await disk.StartLoadAsync();
        await ProgressAsync("the start of the load");
    }

    internal async Task ProgressAsync(string after)
    {
        foreach (var disk in _disks) await disk.ProgressAsync(after);
    }

    /// <summary>Starts VM-H with a disk.</summary>
    /// <returns>The disk and VM-H's socket.</returns>
    internal async Task<(RestartableDisk Disk, string Socket)> StartDiskAsync(string name)
    {
        string file = _folder[name + ".img"], socket = _folder[name];
        using (var image = File.Create(file)) image.SetLength(DiskBytes);
        var disk = new RestartableDisk(() => Guest, name, ["--disk", file, "--vhost-user", socket]);
        await disk.StartHostAsync();
        return (disk, socket);
    }

    public async Task DisposeAsync()
    {
        _monitor?.Dispose();
        if (_guest is not null) await _guest.DisposeAsync();
        foreach (var disk in _disks) await disk.DisposeAsync();
        (_guest, _monitor) = (null, null);
        _disks.Clear();
        _folder.Dispose();
        _folder = new TestFolder();
    }

    public void Dispose() => _folder.Dispose();

    private async Task BootAsync()
    {
        var options = new List<string>(QemuMonitor.Options(_folder["monitor"]))
        {
            "-m", "192M,slots=2,maxmem=1G", "-device", $"pcie-root-port,id={Port},chassis=1,slot=1",
        };
        for (var i = 0; i < 2; i++)
        {
            var (disk, socket) = await StartDiskAsync("vd" + (char)('a' + i));
            _disks.Add(disk);
            options.AddRange(QemuGuest.Disk(socket, packed: i == 1, reconnect: QemuProgram.Sid.Reconnect, number: i));
        }
        _guest = await QemuGuest.BootLinuxOnAsync(QemuProgram.Sid, 1, options);
        _monitor = await QemuMonitor.ConnectAsync(_folder["monitor"]);
    }
}
