using VmShunt.Perf.Launch;
using VmShunt.Perf.Lifecycle.Guests;
using VmShunt.Perf.Lifecycle.Processes;
using VmShunt.Ring.VhostUser;

namespace VmShunt.Perf.Lifecycle.Rigs;

/// <summary>A Linux guest in QEMU. Its load is <see cref="GuestScripts"/>; what it leaves is checked in the images, too.</summary>
internal sealed class QemuRig : Rig
{
    private const int DiskBytes = 32 << 20, EndlessRounds = 1_000_000, MostRoundsUnseen = 500;

    private readonly WorkFolder _folder = new();
    private readonly QemuProgram _qemu;
    private readonly string _moreOfDisks;
    private readonly List<Disk> _disks = [];
    private int _machines;

    private QemuRig(QemuProgram qemu, string engine, string moreOfDisks)
        : base(engine) => (_qemu, _moreOfDisks) = (qemu, moreOfDisks);

    internal override string Version => _qemu.Version;

    internal QemuGuest Guest { get; private set; } = null!;

    internal QemuMonitor Monitor { get; private set; } = null!;

    /// <summary>What the VM-H of all disks wrote.</summary>
    internal IEnumerable<string> Said => _disks.SelectMany(static disk => disk.Served.Said);

    internal IReadOnlyList<RigDisk> Served => [.. _disks.Select(static disk => disk.Served)];

    /// <param name="qemu">Which QEMU.</param>
    /// <param name="withheld">Protocol features that it does not see.</param>
    /// <param name="engine">VM-H's.</param>
    /// <param name="moreOfDisks">More options of each disk.</param>
    internal static async Task<QemuRig> BootAsync(QemuProgram qemu, VhostUserProtocolFeatures withheld, string engine = LifecycleEvent.DefaultEngine, string moreOfDisks = "")
    {
        var rig = new QemuRig(qemu, engine, moreOfDisks);
        try
        {
            for (var i = 0; i < Disks.Count; i++)
            {
                var disk = new Disk(new RigDisk(rig._folder, i, DiskBytes, withheld, engine), "vd" + (char)('a' + i));
                rig._disks.Add(disk);
                await disk.Served.StartHostAsync();
            }
            await rig.BootAsync();
            return rig;
        }
        catch
        {
            await rig.DisposeAsync();
            throw;
        }
    }

    /// <summary>The system calls of the thread of a ring under load.</summary>
    internal async Task<IReadOnlyCollection<string>> CallsUnderLoadAsync()
    {
        await StartLoadsAsync();
        var calls = await _disks.First(static disk => disk.Served.IsLoaded).Served.CallsAsync();
        await StopLoadsAsync([.. _disks]);
        return calls;
    }

    public override async ValueTask DisposeAsync()
    {
        Monitor?.Dispose();
        if (Guest is not null) await Guest.KillAsync();
        foreach (var disk in _disks) await disk.Served.DisposeAsync();
        _folder.Dispose();
    }

    private protected override async Task<IReadOnlyList<CellOutcome>> RunCoreAsync(LifecycleEvent what)
    {
        if (what.Kind is EventKind.KillAtCall or EventKind.KillInSetUp && Strace.Refusal is { } refusal) return CellOutcome.OfAll(LifecycleVerdict.NotRun, refusal);
        foreach (var disk in _disks) (disk.Fault, disk.Served.IsSpared, disk.IsStarted) = (null, false, false);
        // Whatever was logged earlier is not this event's.
        await Guest.RunAsync("dmesg -c > /dev/null");
        await StartLoadsAsync();
        foreach (var disk in _disks) disk.Served.Mark();
        await ActAsync(what);
        foreach (var disk in _disks.Where(static disk => !disk.Served.IsLoaded && !disk.IsStarted)) await StartLoadAsync(disk, disk.Round + 2);
        var moved = await WaitForProgressAsync();
        await StopLoadsAsync(moved);
        var errors = what.Kind == EventKind.Rebind ? "" : await Guest.RunAsync("dmesg");
        return [.. _disks.Select(disk => Judge(disk, moved.Contains(disk), errors))];
    }

    /// <summary>Each disk is used before the event, so that its ring is not at its start.</summary>
    private async Task StartLoadsAsync()
    {
        foreach (var disk in _disks) await StartLoadAsync(disk, disk.Served.IsLoaded ? EndlessRounds : disk.Round + 1);
        await Until.TrueAsync(async () =>
        {
            var counts = await CountAsync();
            return _disks.All(disk => counts.GetValueOrDefault(disk) > disk.Round);
        }, "the loads use their disks");
        foreach (var disk in _disks.Where(static disk => !disk.Served.IsLoaded)) disk.Round++;
    }

    private Task<string> StartLoadAsync(Disk disk, int end) => Guest.RunAsync(
        $"rm -f /stop-{disk.Name} /pause-{disk.Name} /over-{disk.Name} /bad-{disk.Name} /count-{disk.Name}; load {disk.Name} {disk.Round} {end} > /dev/null 2>&1 & sleep 0");

    private async Task<Dictionary<Disk, int>> CountAsync()
    {
        var (_, said) = await Guest.TryAsync($"for d in {Names(_disks)}; do echo $d $(cat /count-$d 2> /dev/null); done");
        var lines = said.Split('\n').Select(static line => line.Split(' ')).Where(static words => words.Length == 2).ToDictionary(static words => words[0], static words => words[1]);
        return _disks.Where(disk => lines.TryGetValue(disk.Name, out var count) && int.TryParse(count, out _)).ToDictionary(static disk => disk, disk => int.Parse(lines[disk.Name]));
    }

    /// <returns>The disks that were used within the limit.</returns>
    private async Task<HashSet<Disk>> WaitForProgressAsync()
    {
        Dictionary<Disk, int> first = [];
        var moved = new HashSet<Disk>();
        var start = System.Diagnostics.Stopwatch.GetTimestamp();
        while (System.Diagnostics.Stopwatch.GetElapsedTime(start) < LossLimit)
        {
            var now = await CountAsync();
            foreach (var (disk, count) in now)
            {
                // An idle disk had no round since the event; one under load may have completed one of before.
                first.TryAdd(disk, disk.Served.IsLoaded ? count : disk.Round);
                if (count >= first[disk] + 2) moved.Add(disk);
            }
            if (_disks.All(disk => moved.Contains(disk) || disk.Served.IsGivenUp)) break;
            await Task.Delay(50);
        }
        return moved;
    }

    private async Task StopLoadsAsync(HashSet<Disk> moved)
    {
        await Guest.RunAsync($"for d in {Names(_disks)}; do touch /stop-$d; done");
        if (moved.Count == 0) return;
        await Until.TrueAsync(async () => (await Guest.TryAsync(string.Join(" && ", moved.Select(static disk => $"test -e /over-{disk.Name}")))).Code == 0, "the loads stop");
        foreach (var (disk, count) in await CountAsync()) disk.Round = count;
        foreach (var disk in moved)
        {
            var (code, said) = await Guest.TryAsync($"cat /bad-{disk.Name}");
            if (code == 0) disk.Fault = said;
        }
    }

    private static CellOutcome Judge(Disk disk, bool hasMoved, string errors)
    {
        if (disk.Served.IsSpared && hasMoved && disk.Fault is null) return disk.Served.Outcome(LifecycleVerdict.DoesNotExist, "VM-H makes no such call");
        if (disk.Fault is { } fault) return disk.Served.Outcome(LifecycleVerdict.Wrong, fault);
        if (!hasMoved) return disk.Served.LossOutcome();
        if (errors.Split('\n').FirstOrDefault(line => line.Contains("error", StringComparison.OrdinalIgnoreCase) && line.Contains(disk.Name, StringComparison.Ordinal)) is { } error)
            return disk.Served.Outcome(LifecycleVerdict.Wrong, error);
        return LoadImage.FindRound(disk.Served.Image, disk.Round, disk.Round) is null
            ? disk.Served.Outcome(LifecycleVerdict.Wrong, $"the image is not what {disk.Round} rounds left")
            : disk.Served.Outcome(LifecycleVerdict.Passed);
    }

    private async Task ActAsync(LifecycleEvent what)
    {
        if (await HostEvents.TryActAsync(what.Kind, Served)) return;
        switch (what.Kind)
        {
            case EventKind.KillAtCall:
                await HostEvents.KillAtCallAsync(what.SystemCall!, Served, async served =>
                {
                    var disk = _disks.Single(disk => disk.Served == served);
                    await StartLoadAsync(disk, disk.Round + 2);
                    disk.IsStarted = true;
                });
                return;
            case EventKind.Pause:
                await Monitor.ExecuteAsync("stop");
                await Task.Delay(TimeSpan.FromSeconds(1));
                await Monitor.ExecuteAsync("cont");
                return;
            case EventKind.TerminateInPause:
                await Monitor.ExecuteAsync("stop");
                await HostEvents.TryActAsync(EventKind.Terminate, Served);
                await Monitor.ExecuteAsync("cont");
                return;
            case EventKind.Rebind:
                await Guest.RunAsync($"rm -f /rebound-*; rebind {Names(_disks)} > /dev/null 2>&1 & sleep 0");
                foreach (var disk in _disks)
                {
                    if (await WaitAsync(async () => (await Guest.TryAsync($"test -e /rebound-{disk.Name}")).Code == 0)) continue;
                    throw new GuestException($"unbind or bind of {disk.Name} does not return: {await Guest.RunAsync("dmesg | tail -30")}; VM-H: {string.Join(" / ", disk.Served.Said.TakeLast(5))}");
                }
                return;
            case EventKind.Suspend:
                await Guest.RunAsync("(sleep 1; echo mem > /sys/power/state) > /dev/null 2>&1 & sleep 0");
                if (!await WaitAsync(async () => (await Monitor.ExecuteAsync("query-status")).GetProperty("status").GetString() == "suspended")) throw new GuestException("the guest does not suspend");
                await Monitor.ExecuteAsync("system_wakeup");
                return;
            case EventKind.Reset:
                var seen = await CountAsync();
                await Monitor.ExecuteAsync("system_reset");
                await Guest.WaitForAsync(QemuGuest.Ready);
                await ContinueAfterBootAsync(seen);
                return;
            case EventKind.Migrate:
                await MigrateAsync();
                return;
            case EventKind.MigrateStalled:
                foreach (var disk in Served.Where(static disk => disk.IsLoaded)) await disk.StallAsync();
                await MigrateAsync();
                return;
            case EventKind.FrontendKilled:
                var before = await CountAsync();
                Monitor.Dispose();
                await Guest.KillAsync();
                await Until.TrueAsync(() => _disks.All(static disk => disk.Served.Said.Any(static line => line.Contains("closed: rings stopped", StringComparison.Ordinal))), "VM-H closes the sessions");
                await BootAsync();
                await ContinueAfterBootAsync(before);
                return;
            default:
                throw new ArgumentOutOfRangeException(nameof(what), what.Kind, null);
        }
    }

    /// <summary>Checks that the images have what the guests saw acknowledged, and starts the loads again.</summary>
    private async Task ContinueAfterBootAsync(Dictionary<Disk, int> seen)
    {
        foreach (var disk in _disks)
        {
            var least = Math.Max(disk.Round, seen.GetValueOrDefault(disk));
            if (LoadImage.FindRound(disk.Served.Image, least, least + MostRoundsUnseen) is { } round) disk.Round = round;
            else disk.Fault = $"after {least} rounds and the end of the guest, the image is not what {least} or more rounds left";
        }
        foreach (var disk in _disks.Where(static disk => disk.Served.IsLoaded)) await StartLoadAsync(disk, EndlessRounds);
    }

    private static async Task<bool> WaitAsync(Func<Task<bool>> condition)
    {
        var start = System.Diagnostics.Stopwatch.GetTimestamp();
        while (!await condition())
        {
            if (System.Diagnostics.Stopwatch.GetElapsedTime(start) >= LossLimit) return false;
            await Task.Delay(100);
        }
        return true;
    }

    private async Task BootAsync()
    {
        Guest = await QemuGuest.BootLinuxOnAsync(_qemu, 2, Options([.. Served.Select(static disk => disk.Socket)]));
        Monitor = await QemuMonitor.ConnectAsync(MonitorSocket);
    }

    private async Task MigrateAsync()
    {
        _machines++;
        var sockets = new List<string>();
        foreach (var disk in Served) sockets.Add(await disk.PrepareMoveAsync());
        var uri = $"unix:{_folder[$"migration{_machines}"]}";
        var next = QemuGuest.AwaitLinux(uri, _qemu, 2, Options(sockets));
        try
        {
            var monitor = await QemuMonitor.ConnectWhenReadyAsync(MonitorSocket);
            await Monitor.MigrateAsync(uri, monitor);
            Monitor.Dispose();
            (Monitor, (var old, Guest)) = (monitor, (Guest, next));
            await old.KillAsync();
        }
        catch (GuestException e)
        {
            var said = string.Join(" / ", next.LastErrors);
            await next.KillAsync();
            throw new GuestException($"{e.Message}; the destination says: {said}");
        }
        foreach (var disk in Served) await disk.CompleteMoveAsync();
    }

    private string MonitorSocket => _folder[$"monitor{_machines}"];

    private IEnumerable<string> Options(List<string> sockets) =>
    [
        .. QemuMonitor.Options(MonitorSocket),
        .. _disks.SelectMany((disk, i) => QemuGuest.Disk(sockets[i], disk.Served.IsPacked, reconnect: _qemu.Reconnect, number: i, more: _moreOfDisks)),
    ];

    private static string Names(IEnumerable<Disk> disks) => string.Join(' ', disks.Select(static disk => disk.Name));

    /// <summary>A disk of the guest.</summary>
    internal sealed class Disk(RigDisk served, string name)
    {
        internal RigDisk Served => served;

        /// <summary>In the guest.</summary>
        internal string Name => name;

        /// <summary>The next round of its load.</summary>
        internal int Round { get; set; }

        /// <summary>What was wrong with its data.</summary>
        internal string? Fault { get; set; }

        /// <summary>The event itself started the load of this idle disk.</summary>
        internal bool IsStarted { get; set; }
    }
}
