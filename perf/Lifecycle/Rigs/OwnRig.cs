using System.Security.Cryptography;
using System.Text.Json;
using VmShunt.Perf.Launch;
using VmShunt.Perf.Lifecycle.Processes;
using VmShunt.Ring.VhostUser;

namespace VmShunt.Perf.Lifecycle.Rigs;

/// <summary>Our driver: four guests without a hypervisor, one for each disk.</summary>
internal sealed class OwnRig : Rig
{
    private const int DiskBytes = 8 << 20;
    private const string Load = "load start --depth 64 --write", ShortLoad = "load start --depth 4 --write";

    private readonly WorkFolder _folder = new();
    private readonly List<Disk> _disks = [];

    private OwnRig(string engine)
        : base(engine)
    {
    }

    internal override string Version => "";

    private IReadOnlyList<RigDisk> Served => [.. _disks.Select(static disk => disk.Served)];

    /// <param name="withheld">Protocol features that the driver does not see.</param>
    /// <param name="engine">VM-H's.</param>
    internal static async Task<OwnRig> StartAsync(VhostUserProtocolFeatures withheld, string engine)
    {
        var rig = new OwnRig(engine);
        try
        {
            for (var i = 0; i < Disks.Count; i++)
            {
                var disk = new Disk(new RigDisk(rig._folder, i, DiskBytes, withheld, engine));
                rig._disks.Add(disk);
                await disk.Served.StartHostAsync();
                await disk.StartGuestAsync();
            }
            return rig;
        }
        catch
        {
            await rig.DisposeAsync();
            throw;
        }
    }

    public override async ValueTask DisposeAsync()
    {
        foreach (var disk in _disks) await disk.DisposeAsync();
        _folder.Dispose();
    }

    private protected override async Task<IReadOnlyList<CellOutcome>> RunCoreAsync(LifecycleEvent what)
    {
        if (what.Kind is EventKind.Reset or EventKind.Suspend or EventKind.Migrate) return CellOutcome.OfAll(LifecycleVerdict.DoesNotExist, "our driver has no machine");
        if (what.Kind is EventKind.KillAtCall or EventKind.KillInSetUp && Strace.Refusal is { } refusal) return CellOutcome.OfAll(LifecycleVerdict.NotRun, refusal);
        foreach (var disk in _disks)
        {
            disk.Served.IsSpared = false;
            await disk.AskAsync(disk.Served.IsLoaded ? Load : ShortLoad);
            await disk.ProgressAsync(await disk.RequestsAsync());
            if (!disk.Served.IsLoaded) await disk.StopLoadAsync();
        }
        foreach (var disk in _disks) disk.Served.Mark();
        await ActAsync(what);
        return await Task.WhenAll(_disks.Select(JudgeAsync));
    }

    private async Task ActAsync(LifecycleEvent what)
    {
        if (await HostEvents.TryActAsync(what.Kind, Served)) return;
        switch (what.Kind)
        {
            case EventKind.KillAtCall:
                await HostEvents.KillAtCallAsync(what.SystemCall!, Served, served => _disks.Single(disk => disk.Served == served).AskAsync(ShortLoad));
                return;
            case EventKind.Pause:
                foreach (var disk in _disks) _ = Signal.Send(disk.Guest.Process.Id, Signal.Stop);
                await Task.Delay(TimeSpan.FromSeconds(1));
                foreach (var disk in _disks) _ = Signal.Send(disk.Guest.Process.Id, Signal.Continue);
                return;
            case EventKind.Rebind:
                // The driver closes its disk, in order, and opens it again.
                foreach (var disk in _disks) await disk.ReplaceGuestAsync(Signal.Terminate);
                return;
            case EventKind.FrontendKilled:
                foreach (var disk in _disks) await disk.ReplaceGuestAsync(Signal.Kill);
                return;
            default:
                throw new ArgumentOutOfRangeException(nameof(what), what.Kind, null);
        }
    }

    private static async Task<CellOutcome> JudgeAsync(Disk disk)
    {
        try
        {
            if (!disk.HasLoad) await disk.AskAsync(ShortLoad);
            var before = await disk.RequestsAsync();
            if (!await disk.TryProgressAsync(before)) return disk.Served.LossOutcome();
            if (await disk.StopLoadAsync() is { } fault) return disk.Served.Outcome(LifecycleVerdict.Wrong, fault);
            var hash = (await disk.AskAsync("hash")).GetProperty("sha256").GetString();
            if (hash != Convert.ToHexStringLower(SHA256.HashData(await File.ReadAllBytesAsync(disk.Served.Image))))
                return disk.Served.Outcome(LifecycleVerdict.Wrong, "the driver reads other data than the image has");
            return disk.Served.IsSpared ? disk.Served.Outcome(LifecycleVerdict.DoesNotExist, "VM-H makes no such call") : disk.Served.Outcome(LifecycleVerdict.Passed);
        }
        catch (LaunchException e)
        {
            return disk.Served.Outcome(LifecycleVerdict.Lost, e.Message);
        }
    }

    /// <summary>A disk with its guest.</summary>
    private sealed class Disk(RigDisk served) : IAsyncDisposable
    {
        internal RigDisk Served => served;

        internal GuestConsole Guest { get; private set; } = null!;

        internal bool HasLoad { get; private set; }

        internal async Task StartGuestAsync() => Guest = new GuestConsole(await Programs.StartReadyAsync(
            "vmshunt-guest", "--bus", served.Socket, "--wait", "10", "--memory", "32M", "--ring", served.IsPacked ? "packed" : "split", "console"));

        internal async Task ReplaceGuestAsync(int signal)
        {
            _ = Signal.Send(Guest.Process.Id, signal);
            await Programs.WaitForEndAsync(Guest.Process);
            await Guest.Process.DisposeAsync();
            HasLoad = false;
            await StartGuestAsync();
        }

        internal async Task<JsonElement> AskAsync(string command)
        {
            var answer = await Guest.AskAsync(command, Programs.AnyAnswer, Until.Patience, default);
            HasLoad |= command.StartsWith("load start", StringComparison.Ordinal);
            return answer;
        }

        internal async Task<long> RequestsAsync() =>
            (await AskAsync("info")).GetProperty("requests").GetProperty("ringByQueue").EnumerateArray().Sum(static queue => queue.GetInt64());

        internal async Task ProgressAsync(long from)
        {
            if (!await TryProgressAsync(from)) throw new TimeoutException("the load uses its disk");
        }

        /// <returns>Whether requests completed within the limit; more than were in flight.</returns>
        internal async Task<bool> TryProgressAsync(long from)
        {
            var start = System.Diagnostics.Stopwatch.GetTimestamp();
            while (await RequestsAsync() < from + 200)
            {
                if (System.Diagnostics.Stopwatch.GetElapsedTime(start) >= LossLimit || served.IsGivenUp) return false;
                await Task.Delay(20);
            }
            return true;
        }

        /// <returns>Null, or what was wrong.</returns>
        internal async Task<string?> StopLoadAsync()
        {
            HasLoad = false;
            var answer = await Guest.AskAsync("load stop", GuestAnswersJson.Default.LoadAnswer, Until.Patience, default);
            return (answer.Failed, answer.Lost, answer.Repeated, answer.Mismatched) is (0, 0, 0, 0) ? null : answer.ToString();
        }

        public async ValueTask DisposeAsync()
        {
            if (Guest is not null) await Guest.Process.DisposeAsync();
            await served.DisposeAsync();
        }
    }
}
