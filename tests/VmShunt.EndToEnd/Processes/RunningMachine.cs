using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using VmShunt.Perf.Launch;
using VmShunt.Perf.Measure;
using VmShunt.Trap.Ahci;
using VmShunt.Trap.VmExit;

namespace VmShunt.EndToEnd.Processes;

/// <summary>VM-H, the hypervisor and a booted VM-C on a disk, started as the launcher starts them.</summary>
internal sealed class RunningMachine : IAsyncDisposable
{
    private readonly WorkFolder _folder = new();
    private readonly ThreeProcesses _processes;
    private HypervisorObserver? _observer;

    private RunningMachine(LaunchOptions options) =>
        _processes = ThreeProcesses.Prepare(options, _folder, static socket => new HypervisorTrapCounter(socket), CancellationToken.None);

    internal ChildProcess Host => _processes.Host!;

    internal ChildProcess Hypervisor => _processes.Hypervisor!;

    internal ChildProcess Guest => _processes.Guest!.Process;

    /// <summary>Starts all three; the guest is in emulating mode.</summary>
    internal static async Task<RunningMachine> BootAsync(
        string disk, bool readOnly = false, IReadOnlyList<string>? hostOptions = null, IReadOnlyList<string>? guestOptions = null,
        string trapState = LaunchOptions.DefaultTrapState)
    {
        var machine = new RunningMachine(new LaunchOptions
        {
            Disk = disk,
            AllowWrites = !readOnly,
            MemoryBytes = OwnDisk.MemoryBytes,
            HostOptions = hostOptions ?? [],
            GuestOptions = guestOptions ?? [],
            TrapState = trapState,
        });
        try
        {
            await machine._processes.StartAsync(disk, machine._folder);
            return machine;
        }
        catch
        {
            await machine.DisposeAsync();
            throw;
        }
    }

    internal Task StartGuestAsync() => _processes.StartGuestAsync();

    internal Task GuestEndsAsync() => _processes.GuestEndsAsync();

    internal Task<T> AskAsync<T>(string command, JsonTypeInfo<T> shape) => _processes.AskAsync(command, shape, Until.Patience);

    internal Task<JsonElement> AskAsync(string command) => AskAsync(command, Programs.AnyAnswer);

    internal Task<GuestInfo> InfoAsync() => AskAsync("info", GuestAnswersJson.Default.GuestInfo);

    internal Task<ModeAnswer> ModeAsync(string mode) => AskAsync($"mode {mode}", GuestAnswersJson.Default.ModeAnswer);

    /// <summary>Measures a number of requests of 4 KiB. However slow the machine is, so many complete.</summary>
    internal Task<BenchAnswer> BenchAsync(string stack, string operation, int depth, SectorRange range, int requests = 2000) => AskAsync(
        $"bench --stack {stack} --operation {operation} --depth {depth} --requests {requests} --first-sector {range.First} --sectors {range.Count}",
        GuestAnswersJson.Default.BenchAnswer);

    /// <summary>The error with which a command fails.</summary>
    internal async Task<string> RefusalAsync(string command) => (await Assert.ThrowsAsync<LaunchException>(() => AskAsync(command))).Message;

    /// <summary>The data partition.</summary>
    internal async Task<SectorRange> DataAsync()
    {
        var data = (await InfoAsync()).Partitions.Single(static p => p.Name == "data");
        return new SectorRange(data.FirstSector, data.Sectors);
    }

    /// <summary>The partition of the newest guest, as the hypervisor sees it.</summary>
    internal PartitionStatistics Statistics()
    {
        _observer ??= HypervisorObserver.Connect(_folder["hypervisor.sock"]);
        return _observer.Query().Partitions.MaxBy(static p => p.Id)!;
    }

    /// <summary>Commands that the guests have issued to VM-H's controller so far: writes to PxCI.</summary>
    internal long IssuedCommands()
    {
        _observer ??= HypervisorObserver.Connect(_folder["hypervisor.sock"]);
        return HypervisorTrapCounter.IssuedCommands(_observer.Query());
    }

    /// <summary>
    /// The VM exits so far, once the guest's interrupt processor has halted again: it halts before the first interrupt and
    /// after each, and writes HBA.IS once for each.
    /// </summary>
    internal async Task<ExitCounts> SettledExitsAsync()
    {
        ExitCounts? settled = null;
        await Until.TrueAsync(
            () =>
            {
                var now = Statistics();
                var interrupts = now.ByAddress.Where(static a => a is { Reason: ExitReason.MmioWrite, Address: GuestLayout.BarAddress + HbaRegister.IS }).Sum(static a => a.Count);
                settled = now.Exits;
                return now.Exits.Halt == interrupts + 1;
            },
            "the interrupt processor is halted");
        return settled!;
    }

    /// <summary>Requests that the guest has completed, by path.</summary>
    internal async Task<(long Trap, long Ring)> CompletedAsync()
    {
        var requests = (await AskAsync("info")).GetProperty("requests");
        return (requests.GetProperty("trap").GetInt64(), requests.GetProperty("ring").GetInt64());
    }

    /// <summary>Waits until a running load has completed that many more requests.</summary>
    internal async Task LoadGoesOnAsync(int requests = 500)
    {
        var before = await CompletedAsync();
        await Until.TrueAsync(
            async () =>
            {
                var now = await CompletedAsync();
                return now.Trap + now.Ring >= before.Trap + before.Ring + requests || now.Ring < before.Ring;
            },
            $"{requests} more requests are completed");
    }

    public async ValueTask DisposeAsync()
    {
        _observer?.Dispose();
        await _processes.DisposeAsync();
        _folder.Dispose();
    }
}
