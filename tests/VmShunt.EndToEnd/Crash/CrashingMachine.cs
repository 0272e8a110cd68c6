using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using VmShunt.EndToEnd.Processes;
using VmShunt.Perf.Disks;
using VmShunt.Perf.Launch;
using VmShunt.Trap.VmExit;

namespace VmShunt.EndToEnd.Crash;

/// <summary>Options of a machine that will crash.</summary>
/// <param name="Mode">The guest's mode.</param>
/// <param name="Processors">The number of processors that run applications.</param>
/// <param name="Patience">How many seconds the hypervisor waits for VM-H.</param>
/// <param name="HeapMegabytes">The limit of the guest's managed heap, or 0.</param>
/// <param name="BusSocket">The socket of a back-end that serves the bus in place of VM-H, or null.</param>
/// <param name="HostArguments">For VM-H, besides disk and sockets.</param>
internal sealed record CrashSetup(
    string Mode, int Processors = 1, double Patience = 10, int HeapMegabytes = 0, string? BusSocket = null, params string[] HostArguments);

/// <summary>The three processes on a disk with a dump partition, for crashes of every kind.</summary>
internal sealed partial class CrashingMachine : IAsyncDisposable
{
    private readonly string _socket;
    private HypervisorObserver? _observer;

    private CrashingMachine(ChildProcess host, ChildProcess hypervisor, string socket)
    {
        Host = host;
        Hypervisor = hypervisor;
        _socket = socket;
    }

    internal ChildProcess Host { get; }

    internal ChildProcess Hypervisor { get; }

    internal ChildProcess Guest { get; private set; } = null!;

    internal static async Task<CrashingMachine> BootAsync(TestFolder folder, string disk, CrashSetup setup)
    {
        string ring = folder["ring"], trap = folder["trap"], socket = folder["hypervisor"];
        ChildProcess? host = null, hypervisor = null;
        try
        {
            host = await Programs.StartReadyAsync("vmshunt-host", ["--disk", disk, "--vhost-user", ring, "--vfio-user", trap, .. setup.HostArguments]);
            hypervisor = await Programs.StartReadyAsync(
                "vmshunt-hypervisor", "--socket", socket, "--device", $"disk0,vhost-user={setup.BusSocket ?? ring},vfio-user={trap}",
                "--patience", setup.Patience.ToString(CultureInfo.InvariantCulture));
            var machine = new CrashingMachine(host, hypervisor, socket);
            await machine.StartGuestAsync(setup);
            return machine;
        }
        catch
        {
            if (hypervisor is not null) await hypervisor.DisposeAsync();
            if (host is not null) await host.DisposeAsync();
            throw;
        }
    }

    internal async Task StartGuestAsync(CrashSetup setup)
    {
        List<string> environment = setup.HeapMegabytes == 0 ? [] : [$"DOTNET_GCHeapHardLimit=0x{setup.HeapMegabytes << 20:x}"];
        var guest = Programs.Start(
            "/usr/bin/env",
            [
                .. environment, Path.Combine(AppContext.BaseDirectory, "vmshunt-guest"), "--hypervisor", _socket, "--memory", $"{OwnDisk.MemoryBytes}",
                "--mode", setup.Mode, "--processors", $"{setup.Processors}", "console",
            ]);
        if (Guest is { } before) await before.DisposeAsync();
        Guest = guest;
        await Programs.WaitForLineAsync(guest, "ready");
    }

    internal Task<JsonElement> AskAsync(string command) => new GuestConsole(Guest).AskAsync(command, Programs.AnyAnswer, default, default);

    /// <summary>Starts a load, and if its requests can complete, waits until many have.</summary>
    internal async Task LoadAsync(int depth, bool completes)
    {
        await AskAsync($"load start --depth {depth}");
        if (!completes) return;
        await Until.TrueAsync(
            async () =>
            {
                var requests = (await AskAsync("info")).GetProperty("requests");
                return requests.GetProperty("trap").GetInt64() + requests.GetProperty("ring").GetInt64() > 2 * depth;
            },
            $"{2 * depth} requests complete");
    }

    /// <summary>The hypervisor's record of the crash, or null if it saw none or not all of it.</summary>
    internal CrashStatistics? Record()
    {
        _observer ??= HypervisorObserver.Connect(_socket);
        return _observer.Query().Partitions.MaxBy(static p => p.Id)!.Crash;
    }

    /// <summary>Waits for the step of the crash sequence.</summary>
    internal Task StepAsync(string step) =>
        Until.TrueAsync(() => Hypervisor.LastErrors.Any(line => line.Contains(step, StringComparison.Ordinal)), $"the hypervisor logs '{step}'");

    /// <summary>
    /// Boots again, exports the dump, and checks it: by the guest's checksum, the hypervisor's hash of the memory, the bytes
    /// of the file, and readelf.
    /// </summary>
    /// <returns>The number of register notes, one per processor.</returns>
    internal async Task<int> AssertDumpIsCorrectAsync(TestFolder folder, CrashSetup setup)
    {
        var record = Record();
        Assert.NotNull(record);
        await StartGuestAsync(setup with { Mode = "emulating", Processors = 1, HeapMegabytes = 0 });
        var core = folder["core"];
        var dump = await AskAsync($"dump export {core}");
        Assert.True(dump.GetProperty("valid").GetBoolean(), "the core matches the checksum that the crash path made");
        Assert.Equal(await FileHash.OfAsync(core, default), dump.GetProperty("sha256").GetString());
        Assert.Equal(record.MemorySha256, dump.GetProperty("memorySha256").GetString());
        Assert.Equal(record.MemorySha256, CoreFile.HashMemory(core));
        await AskAsync("quit");

        var readelf = await Programs.RunAsync(Installed.Require("readelf"), "-h", "-l", "-n", "-W", core);
        Assert.Equal((0, ""), (readelf.ExitCode, readelf.ErrorText));
        var text = string.Join('\n', readelf.Output);
        Assert.Contains("CORE (Core file)", text, StringComparison.Ordinal);
        Assert.Contains("VMSHUNT", text, StringComparison.Ordinal);
        return ProcessorNote().Count(text);
    }

    public async ValueTask DisposeAsync()
    {
        _observer?.Dispose();
        if (Guest is not null) await Guest.DisposeAsync();
        await Hypervisor.DisposeAsync();
        await Host.DisposeAsync();
    }

    [GeneratedRegex("NT_PRSTATUS")]
    private static partial Regex ProcessorNote();
}
