using System.Globalization;
using VmShunt.Guest.Firmware.Partitions;
using VmShunt.Perf.Disks;
using VmShunt.Perf.Launch.Model;
using VmShunt.Perf.Measure;

namespace VmShunt.Perf.Launch;

/// <summary>
/// The steps of a launch: VM-C boots on the trap path, switches to the ring under load, is measured on every path,
/// crashes, dumps its memory through the trap path, restarts and reads the dump.
/// </summary>
internal sealed class LaunchStory(LaunchOptions options, ThreeProcesses processes, ProgressLog log, WorkFolder folder, CancellationToken cancel)
{
    private const int LoadDepth = 64, CrashDepth = 32;

    // The most bytes of one command: the crash path describes its data by one entry (AHCI 1.3.1 §4.2.3.3).
    private const long LargestTransfer = 4 << 20;

    internal async Task<LaunchResult> RunAsync()
    {
        DateTime date = DateTime.UtcNow;
        log.Section("Disk");
        (var disk, var bytes) = LaunchDisk.Prepare(options, folder, log);
        var before = await FileHash.OfAsync(disk, cancel);

        log.Section("VM-H (the host server) opens the disk, the hypervisor starts, VM-C (the guest) boots from the emulated AHCI controller");
        await processes.StartAsync(disk, folder);
        GuestInfo info = await processes.AskAsync("info", GuestAnswersJson.Default.GuestInfo);
        Describe(info);

        log.Section("VM-C hashes the disk on the trap path, where every register access is a VM exit");
        Check(DiskPath.Trap, await HashAsync("emulating", bytes), before);

        SectorRange? writable = options.MayWrite ? WritableRange(info) : null;
        TransitionResult transition = await SwitchUnderLoadAsync(writable);
        (HashResult hashes, var sha256) = await HashOnEveryPathAsync(disk, bytes, isWritten: writable is not null, before);

        log.Section("Every path is measured");
        SectorRange range = writable ?? new SectorRange(0, info.Disk.Sectors);
        using var direct = new DirectPath(disk, writable is not null, range);
        var measurement = new PathMeasurement(processes, log, direct, range, options, cancel);
        IReadOnlyList<PathResult> paths = await measurement.RunAsync(Workload.Matrix(options.Quick, writable is not null, range));

        // Only the report shows it.
        IReadOnlyList<HopBreakdown> hops = options.ReportFile is null ? [] : [await TraceAsync(DiskPath.Trap, range), await TraceAsync(DiskPath.Ring, range)];

        CrashDumpResult dump = await CrashAsync(info);
        await processes.AskAsync("quit", GuestAnswersJson.Default.PlainAnswer);
        await processes.GuestEndsAsync();
        return new LaunchResult(
            new DiskResult(options.Disk ?? "(made for this launch)", bytes, sha256), hashes, transition, paths, dump, MachineDescription.Read())
        {
            Date = date,
            Commit = GitCommit.Current(),
            Command = options.Command,
            Disturbed = measurement.ForeignCpuShare > ForeignCpu.Limit,
            ForeignCpu = measurement.ForeignCpuShare,
            Hops = hops,
        };
    }

    private async Task<HopBreakdown> TraceAsync(string path, SectorRange range) =>
        TraceParts.Of(path, await new RequestTracer(processes, range).MedianAsync(path, "read"));

    private void Describe(GuestInfo info)
    {
        log.Line($"disk {MemorySize.Format(info.Disk.Bytes)}, serial {info.Disk.Serial}, {info.Partitions.Count} partitions; memory {MemorySize.Format(info.MemoryBytes)}; mode {info.Mode}");
        if (info.Boot != "image" && options.OwnDisk) throw new LaunchException($"vmshunt-guest started its kernel {info.Boot}, not from the disk's boot partition");
        if (info.Boot != "image") log.Note("The disk has no VmShunt boot partition, so the kernel was started directly.");
    }

    /// <summary>The range that a load may write: the data partition of a VmShunt disk, or all of a disk without partitions.</summary>
    private SectorRange? WritableRange(GuestInfo info)
    {
        GuestPartitionInfo? data = info.Partitions.FirstOrDefault(static p => p.Type == PartitionTypes.LinuxData);
        if (data is not null && info.Partitions.Any(static p => p.Type == PartitionTypes.Boot)) return new SectorRange(data.FirstSector, data.Sectors);
        if (info.Partitions.Count == 0) return new SectorRange(0, info.Disk.Sectors);
        log.Note("The disk's partitions are not VmShunt's, so only the crash dump may be written.");
        return null;
    }

    private async Task<TransitionResult> SwitchUnderLoadAsync(SectorRange? writable)
    {
        log.Section($"VM-C detects the hypervisor and moves its I/O to the ring under a verified load, {LoadDepth} requests in flight");
        var write = writable is { } range ? string.Create(CultureInfo.InvariantCulture, $" --write --first-sector {range.First} --sectors {range.Count}") : "";
        await processes.AskAsync($"load start --depth {LoadDepth}{write}", GuestAnswersJson.Default.PlainAnswer);
        await Task.Delay(TimeSpan.FromMilliseconds(300), cancel);
        ModeAnswer mode = await ModeAsync("enlightened");
        await Task.Delay(TimeSpan.FromMilliseconds(300), cancel);
        LoadAnswer load = await processes.AskAsync("load stop", GuestAnswersJson.Default.LoadAnswer);
        if (load.Failed + load.Lost + load.Repeated + load.Mismatched != 0)
            throw new LaunchException($"the switch under load damaged requests: {load.Failed} failed, {load.Lost} lost, {load.Repeated} repeated, {load.Mismatched} with wrong content");
        log.Line($"{load.Completed:N0} requests, {load.InFlightAtSwitch} in flight at the switch; 0 failed, lost, repeated or wrong; longest pause {load.MaxPauseMicroseconds:N0} µs, switch {mode.SwitchMicroseconds:N0} µs");
        return new TransitionResult(load.InFlightAtSwitch, load.Completed, load.Failed, load.MaxPauseMicroseconds);
    }

    private async Task<(HashResult Hashes, string Sha256)> HashOnEveryPathAsync(string disk, long bytes, bool isWritten, string before)
    {
        log.Section("VM-C hashes the disk on every path");
        var trap = before;
        if (isWritten)
        {
            await ModeAsync("emulating");
            trap = await HashAsync("emulating", bytes);
            await ModeAsync("enlightened");
        }
        string shunted = await HashAsync("emulating", bytes), ring = await HashAsync("enlightened", bytes);
        var sha256 = isWritten ? await FileHash.OfAsync(disk, cancel) : before;
        Check(DiskPath.Trap, trap, sha256);
        Check(DiskPath.Shunted, shunted, sha256);
        Check(DiskPath.Ring, ring, sha256);
        log.Line($"trap, shunted and ring read the content of the file: SHA-256 {sha256}");
        return (new HashResult(trap, shunted, ring), sha256);
    }

    private async Task<CrashDumpResult> CrashAsync(GuestInfo info)
    {
        log.Section("VM-C crashes, dumps its memory through the trap path, restarts and reads the dump");
        if (!options.MayWrite || !info.Partitions.Any(static p => p.Type == PartitionTypes.Dump))
        {
            log.Note(options.MayWrite
                ? "Skipped: the disk has no dump partition."
                : "Skipped: a dump would write to the disk, which needs --allow-writes.");
            return new CrashDumpResult(null, null, null, null, null);
        }
        await ModeAsync("enlightened");
        var issued = processes.Traps!.IssuedCommands();
        CrashAnswer crash = await processes.AskAsync($"crash --in-flight {CrashDepth} --scribble", GuestAnswersJson.Default.CrashAnswer, WorkTime(options.MemoryBytes));
        await processes.GuestEndsAsync();
        var path = PathOfDump(crash.Dump.Bytes, processes.Traps.IssuedCommands() - issued, processes.Traps.HasChannelAfterCrash());
        log.Line($"crashed ({crash.Reason}), {crash.InFlight} requests in flight; {MemorySize.Format(crash.Dump.Bytes)} dumped through the {path} path");
        var seen = processes.Traps.CrashMemorySha256() ?? throw new LaunchException("vmshunt-hypervisor reports no crash of the guest");

        await processes.StartGuestAsync();
        // Not straight to --dump: the console splits its line at spaces.
        var file = folder["core"];
        DumpAnswer dump = await processes.AskAsync($"dump export {file}", GuestAnswersJson.Default.DumpAnswer, WorkTime(options.MemoryBytes));
        if (!dump.Valid) throw new LaunchException($"the restarted guest finds its dump damaged: {dump.Reason}");
        var verified = await FileHash.OfAsync(file, cancel) == dump.Sha256 && dump.MemorySha256 == seen && CoreFile.HashMemory(file) == seen;
        if (!verified) throw new LaunchException($"the dump differs from the memory at the crash: SHA-256 {CoreFile.HashMemory(file)}, the hypervisor saw {seen}");
        log.Line($"restarted, dump exported; it equals the memory at the crash: SHA-256 {seen}");
        if (options.DumpFile is { } keep) LaunchOutput.KeepDump(file, keep, log);
        return new CrashDumpResult(path, dump.Bytes, dump.Sha256, dump.MemorySha256, verified);
    }

    /// <summary>
    /// The path of a dump, by what the hypervisor saw: it went through the trap if the guest had no bus channel any more and
    /// issued at least as many commands to the controller as the dump needs. In enlightened mode nothing else issues any.
    /// </summary>
    internal static string PathOfDump(long bytes, long issued, bool hasChannel) =>
        !hasChannel && issued * LargestTransfer >= bytes ? DiskPath.Trap : DiskPath.Ring;

    private async Task<string> HashAsync(string stack, long bytes)
    {
        HashAnswer answer = await processes.AskAsync(
            string.Create(CultureInfo.InvariantCulture, $"hash --stack {stack} --bytes {bytes}"), GuestAnswersJson.Default.HashAnswer, WorkTime(bytes));
        log.Line($"{MemorySize.Format(bytes)} hashed on the {stack} stack in {answer.Seconds:F2} s");
        return answer.Sha256;
    }

    private Task<ModeAnswer> ModeAsync(string mode) => processes.AskAsync($"mode {mode}", GuestAnswersJson.Default.ModeAnswer);

    // A step that is slower than 4 MiB/s hangs.
    private static TimeSpan WorkTime(long bytes) => TimeSpan.FromSeconds(bytes >> 22);

    private static void Check(string path, string hash, string expected)
    {
        if (hash != expected) throw new LaunchException($"wrong content on the {path} path: SHA-256 {hash}, the file has {expected}");
    }
}
