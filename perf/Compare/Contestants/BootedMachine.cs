using VmShunt.Guest.Firmware.Partitions;
using VmShunt.Perf.Compare.Session;
using VmShunt.Perf.Launch;
using VmShunt.Perf.Measure;

namespace VmShunt.Perf.Compare.Contestants;

/// <summary>VM-H, the hypervisor and VM-C as <c>launch</c> starts them; VM-C has booted from the disk.</summary>
internal sealed class BootedMachine : IAsyncDisposable
{
    private readonly CompareSession _session;
    private readonly WorkFolder _folder = new();
    private readonly ThreeProcesses _processes;
    private string? _mode;

    private BootedMachine(CompareSession session)
    {
        _session = session;
        _processes = ThreeProcesses.Prepare(new LaunchOptions { ProgramFolder = session.Options.ProgramFolder }, _folder, static socket => new HypervisorTrapCounter(socket), session.Cancel);
    }

    internal int Host => _processes.Host!.Id;

    internal int Hypervisor => _processes.Hypervisor!.Id;

    internal int Guest => _processes.Guest!.Process.Id;

    private IEnumerable<int> ProcessIds =>
        new[] { _processes.Host, _processes.Hypervisor, _processes.Guest?.Process }.OfType<ChildProcess>().Select(static child => child.Id);

    /// <summary>VM-H's vfio-user socket.</summary>
    internal string RegisterSocket => _folder.Socket("vfio-user.sock");

    internal string HypervisorSocket => _folder.Socket("hypervisor.sock");

    /// <summary>The data partition; valid after <see cref="FindDataAsync"/>.</summary>
    internal SectorRange Data { get; private set; }

    /// <summary>Starts all three; returns when the guest has booted and its console is ready.</summary>
    internal static async Task<BootedMachine> BootAsync(CompareSession session, string mode)
    {
        var disk = session.BootDisk;
        var machine = new BootedMachine(session);
        try
        {
            await machine._processes.StartAsync(disk, machine._folder, mode);
            machine._mode = mode;
            foreach (var id in machine.ProcessIds) session.Guard.Watch(id);
            return machine;
        }
        catch
        {
            await machine.DisposeAsync();
            throw;
        }
    }

    /// <summary>Finds the data partition, which measurements read.</summary>
    internal async Task FindDataAsync()
    {
        GuestInfo info = await _processes.AskAsync("info", GuestAnswersJson.Default.GuestInfo);
        GuestPartitionInfo data = info.Partitions.First(static partition => partition.Type == PartitionTypes.LinuxData);
        Data = new SectorRange(data.FirstSector, data.Sectors);
    }

    /// <summary>Switches the guest to a mode if it is in another.</summary>
    internal async Task SwitchAsync(string mode)
    {
        if (_mode == mode) return;
        _ = await _processes.AskAsync($"mode {mode}", GuestAnswersJson.Default.ModeAnswer);
        _mode = mode;
    }

    internal Task<BenchAnswer> BenchAsync(string command, TimeSpan duration) => _processes.AskAsync(command, GuestAnswersJson.Default.BenchAnswer, duration);

    public async ValueTask DisposeAsync()
    {
        int[] ids = [.. ProcessIds];
        await _processes.DisposeAsync();
        foreach (var id in ids) _session.Guard.Forget(id);
        _folder.Dispose();
    }
}
