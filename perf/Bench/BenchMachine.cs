using System.Globalization;
using VmShunt.Guest.Firmware.Partitions;
using VmShunt.Perf.Disks;
using VmShunt.Perf.Launch;
using VmShunt.Perf.Measure;
using VmShunt.Ring.Memory;

namespace VmShunt.Perf.Bench;

/// <summary>
/// VM-H, the hypervisor and VM-C as three processes on a temporary disk, as <c>launch</c> starts them. VM-C reads its data
/// partition on request.
/// </summary>
internal sealed class BenchMachine : IDisposable
{
    private static readonly SharedFlag s_exiting = new();

    private readonly WorkFolder _folder = new();
    private readonly ThreeProcesses _processes;
    private readonly SectorRange _range;
    private int _disposed;

    private BenchMachine(string path)
    {
        var options = new LaunchOptions();
        _processes = ThreeProcesses.Prepare(options, _folder, static socket => new HypervisorTrapCounter(socket), CancellationToken.None);
        AppDomain.CurrentDomain.ProcessExit += DisposeAtExit;
        try
        {
            var disk = _folder["disk.img"];
            DefaultDisk.Make(disk, options.ProgramFolder, options.MemoryBytes);
            _range = Wait(StartAsync(disk, DiskPath.Mode(path)));
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    internal string HypervisorSocket => _folder["hypervisor.sock"];

    /// <summary>VM exits since the start.</summary>
    internal long Exits => _processes.Traps!.Exits();

    /// <summary>Starts a machine in the mode in which the path exists.</summary>
    internal static BenchMachine Start(string path) =>
        s_exiting.IsRaised ? throw new OperationCanceledException("the program is exiting") : new BenchMachine(path);

    /// <summary>Lets the guest read random blocks.</summary>
    /// <param name="path">One of <see cref="DiskPath"/>.</param>
    /// <param name="queueDepth">Requests in flight.</param>
    /// <param name="requests">The total number of requests.</param>
    /// <param name="blockBytes">Bytes per request.</param>
    internal BenchAnswer Read(string path, int queueDepth, int requests, int blockBytes = 4096)
    {
        var answer = Wait(_processes.AskAsync(
            string.Create(CultureInfo.InvariantCulture,
                $"bench --stack {DiskPath.Stack(path)} --operation randread --block-size {blockBytes} --depth {queueDepth} --requests {requests} --first-sector {_range.First} --sectors {_range.Count}"),
            GuestAnswersJson.Default.BenchAnswer));
        if (answer.Requests != requests) throw new LaunchException($"{answer.Requests} of {requests} requests completed");
        return answer;
    }

    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0) return;
        AppDomain.CurrentDomain.ProcessExit -= DisposeAtExit;
        _processes.DisposeAsync().AsTask().GetAwaiter().GetResult();
        _folder.Dispose();
    }

    // Ctrl-C during a suite: leaves no process and no disk, and lets the next benchmark start none.
    private void DisposeAtExit(object? sender, EventArgs e)
    {
        s_exiting.Raise();
        Dispose();
    }

    private async Task<SectorRange> StartAsync(string disk, string mode)
    {
        await _processes.StartAsync(disk, _folder);
        GuestInfo info = await _processes.AskAsync("info", GuestAnswersJson.Default.GuestInfo);
        if (info.Mode != mode) await _processes.AskAsync($"mode {mode}", GuestAnswersJson.Default.ModeAnswer);
        GuestPartitionInfo data = info.Partitions.First(static partition => partition.Type == PartitionTypes.LinuxData);
        return new SectorRange(data.FirstSector, data.Sectors);
    }

    private static T Wait<T>(Task<T> task) => task.GetAwaiter().GetResult();
}
