using VmShunt.EndToEnd.Processes;

namespace VmShunt.EndToEnd.Qemu;

/// <summary>
/// A Linux guest of each QEMU, for all tests of a class: with a split and a packed ring, and one of each that uses no indirect
/// descriptors. After a test that failed the next one gets a new guest.
/// </summary>
public sealed class LifecycleGuest : IAsyncLifetime
{
    private const int DiskBytes = 32 << 20;

    private readonly Dictionary<QemuProgram, Machine> _machines = [];

    public Task InitializeAsync() => Task.CompletedTask;

    /// <summary>Runs a test on a guest.</summary>
    internal async Task UseAsync(QemuProgram qemu, Func<Machine, Task> test)
    {
        if (!_machines.TryGetValue(qemu, out var machine)) _machines.Add(qemu, machine = await Machine.BootAsync(qemu));
        try
        {
            await test(machine);
        }
        catch
        {
            _machines.Remove(qemu);
            await machine.DisposeAsync();
            throw;
        }
    }

    public async Task DisposeAsync()
    {
        foreach (var machine in _machines.Values) await machine.DisposeAsync();
    }

    /// <summary>A guest and its disks.</summary>
    internal sealed class Machine : IAsyncDisposable
    {
        private readonly TestFolder _folder = new();
        private readonly List<RestartableDisk> _disks = [];
        private QemuGuest? _guest;
        private QemuMonitor? _monitor;

        internal QemuGuest Guest => _guest!;

        internal QemuMonitor Monitor => _monitor!;

        /// <summary>The disks with a split and a packed ring.</summary>
        internal IReadOnlyList<RestartableDisk> Plain => _disks[..2];

        /// <summary>Those without indirect descriptors.</summary>
        internal IReadOnlyList<RestartableDisk> WithoutIndirect => _disks[2..];

        internal static async Task<Machine> BootAsync(QemuProgram qemu)
        {
            var machine = new Machine();
            try
            {
                await machine.StartAsync(qemu);
                return machine;
            }
            catch
            {
                await machine.DisposeAsync();
                throw;
            }
        }

        private async Task StartAsync(QemuProgram qemu)
        {
            var options = new List<string>(QemuMonitor.Options(_folder["monitor"]));
            for (var i = 0; i < 4; i++)
            {
                string file = _folder[$"disk{i}.img"], socket = _folder[$"ring{i}"];
                using (var image = File.Create(file)) image.SetLength(DiskBytes);
                var disk = new RestartableDisk(() => Guest, "vd" + (char)('a' + i), ["--disk", file, "--vhost-user", socket]);
                _disks.Add(disk);
                await disk.StartHostAsync();
                options.AddRange(QemuGuest.Disk(socket, packed: i % 2 == 1, reconnect: qemu.Reconnect, number: i, more: i < 2 ? "" : ",indirect_desc=off"));
            }
            _guest = await QemuGuest.BootLinuxOnAsync(qemu, 2, options);
            _monitor = await QemuMonitor.ConnectAsync(_folder["monitor"]);
            await RestartableDisk.MakeSeedAsync(Guest);
        }

        public async ValueTask DisposeAsync()
        {
            _monitor?.Dispose();
            if (_guest is not null) await _guest.DisposeAsync();
            foreach (var disk in _disks) await disk.DisposeAsync();
            _folder.Dispose();
        }
    }
}
