using System.Globalization;
using VmShunt.Guest.Firmware.Partitions;
using VmShunt.Perf.Disks;
using VmShunt.Perf.Measure;
using VmShunt.Perf.Report;

namespace VmShunt.Perf.Launch;

/// <summary>
/// The life of one guest: boots on the trap, finds the bus, is shunted to the ring under load, is measured on every
/// road, crashes, dumps through the trap, restarts and reads its dump.
/// </summary>
internal sealed class Story(LaunchOptions options, ThreeProcesses processes, Narrator narrator, WorkFolder folder, CancellationToken cancel)
{
    private const int LoadDepth = 64, CrashDepth = 32;

    internal async Task<LaunchResult> TellAsync()
    {
        narrator.Chapter("The disk");
        (var disk, var bytes) = PrepareDisk();
        var before = await FileHash.OfAsync(disk, cancel);

        narrator.Chapter("VM-H opens it, the hypervisor starts, VM-C boots through the emulated controller");
        await processes.StartAsync(disk, folder);
        GuestInfo info = await processes.AskAsync("info", GuestAnswersJson.Default.GuestInfo);
        Describe(info);

        narrator.Chapter("The emulating stack hashes the disk, each register access a trap");
        var trap = await HashAsync("emulating", bytes);
        Compare("trap", trap, before);

        SectorRange? writable = options.MayWrite ? WritableRange(info) : null;
        TransitionResult transition = await TransitAsync(writable);

        narrator.Chapter("The same disk by every road");
        if (writable is not null)
        {
            await ModeAsync("emulating");
            trap = await HashAsync("emulating", bytes);
            await ModeAsync("enlightened");
        }
        string shunted = await HashAsync("emulating", bytes), ring = await HashAsync("enlightened", bytes);
        var sha256 = writable is null ? before : await FileHash.OfAsync(disk, cancel);
        var hashes = new HashResult(trap, shunted, ring);
        Compare("trap", trap, sha256);
        Compare("shunted", shunted, sha256);
        Compare("ring", ring, sha256);
        narrator.Say($"trap, shunted and ring agree with the file: {sha256}");

        narrator.Chapter("Every path is measured");
        SectorRange range = writable ?? new SectorRange(0, info.Disk.Sectors);
        using var direct = new DirectPath(disk, writable is not null, range);
        var measurement = new PathMeasurement(processes, narrator, direct, range, options, cancel);
        IReadOnlyList<PathResult> paths = await measurement.RunAsync(Workload.Matrix(options.Quick, writable is not null, range));

        // For the report, which is all that shows it.
        IReadOnlyList<HopBreakdown> hops = options.ReportFile is null ? [] : await new RequestFollower(processes, range).RunAsync();

        CrashDumpResult dump = await CrashAsync(info);
        await processes.AskAsync("quit", GuestAnswersJson.Default.PlainAnswer);
        await processes.GuestEndsAsync();
        return new LaunchResult(
            new DiskResult(options.Disk ?? "(made for this launch)", bytes, sha256), hashes, transition, paths, dump, MachineDescription.Read())
        {
            Hops = hops,
        };
    }

    private (string Path, long Bytes) PrepareDisk()
    {
        if (options.Disk is { } disk)
        {
            var bytes = UserDisk.Check(disk, options.AllowWrites);
            narrator.Say($"{disk}, {MemorySize.Format(bytes)}{(options.AllowWrites ? "" : ", read-only")}");
            return (Path.GetFullPath(disk), bytes);
        }
        var path = folder["disk.img"];
        DefaultDisk made = DefaultDisk.Make(path, options.ProgramFolder, options.MemoryBytes);
        narrator.Say($"made one of {MemorySize.Format(made.Bytes)}: boot ({made.ImageFiles} assemblies), data, dump");
        return (path, made.Bytes);
    }

    private void Describe(GuestInfo info)
    {
        narrator.Say($"{MemorySize.Format(info.Disk.Bytes)}, serial {info.Disk.Serial}, {info.Partitions.Count} partitions; memory {MemorySize.Format(info.MemoryBytes)}; mode {info.Mode}");
        if (info.Boot != "image" && options.OwnDisk) throw new LaunchException($"vmshunt-guest started its kernel {info.Boot}, not from the disk's boot partition");
        if (info.Boot != "image") narrator.Note("The disk has no boot partition of ours: the kernel was started directly.");
    }

    /// <summary>Where a load may write: the data partition of a disk of our kind, or a disk that has no partitions at all.</summary>
    private SectorRange? WritableRange(GuestInfo info)
    {
        GuestPartitionInfo? data = info.Partitions.FirstOrDefault(static p => p.Type == PartitionTypes.LinuxData);
        if (data is not null && info.Partitions.Any(static p => p.Type == PartitionTypes.Boot)) return new SectorRange(data.FirstSector, data.Sectors);
        if (info.Partitions.Count == 0) return new SectorRange(0, info.Disk.Sectors);
        narrator.Note("The disk's partitions are none of ours: nothing is written but by the crash dump.");
        return null;
    }

    private async Task<TransitionResult> TransitAsync(SectorRange? writable)
    {
        narrator.Chapter($"It finds the bus and is shunted to the ring under a verified load, {LoadDepth} in flight");
        var write = writable is { } range ? string.Create(CultureInfo.InvariantCulture, $" --write --first-sector {range.First} --sectors {range.Count}") : "";
        await processes.AskAsync($"load start --depth {LoadDepth}{write}", GuestAnswersJson.Default.PlainAnswer);
        await Task.Delay(TimeSpan.FromMilliseconds(300), cancel);
        ModeAnswer mode = await ModeAsync("enlightened");
        await Task.Delay(TimeSpan.FromMilliseconds(300), cancel);
        LoadAnswer load = await processes.AskAsync("load stop", GuestAnswersJson.Default.LoadAnswer);
        if (load.Failed + load.Lost + load.Repeated + load.Mismatched != 0)
            throw new LaunchException($"the switch under load did harm: {load.Failed} failed, {load.Lost} lost, {load.Repeated} repeated, {load.Mismatched} with wrong content");
        narrator.Say($"{load.Completed:N0} requests, {load.InFlightAtSwitch} in flight at the switch; 0 failed, lost, repeated or wrong; longest pause {load.MaxPauseMicroseconds:N0} µs, switch {mode.SwitchMicroseconds:N0} µs");
        return new TransitionResult(load.InFlightAtSwitch, load.Completed, load.Failed, load.MaxPauseMicroseconds);
    }

    private async Task<CrashDumpResult> CrashAsync(GuestInfo info)
    {
        narrator.Chapter("It crashes, dumps through the trap, restarts and reads its dump");
        if (!options.MayWrite || !info.Partitions.Any(static p => p.Type == PartitionTypes.Dump))
        {
            narrator.Note(options.MayWrite
                ? "No crash: the disk has no dump partition."
                : "No crash: a dump would be written, and the disk is the user's (--allow-writes lets it).");
            return new CrashDumpResult(null, null, null, null, null);
        }
        await ModeAsync("enlightened");
        CrashAnswer crash = await processes.AskAsync($"crash --in-flight {CrashDepth} --scribble", GuestAnswersJson.Default.CrashAnswer, Work(options.MemoryBytes));
        narrator.Say($"{crash.Reason}, {crash.InFlight} in flight; {MemorySize.Format(crash.Dump.Bytes)} dumped by the {crash.Dump.Road}");
        await processes.GuestEndsAsync();
        var seen = processes.Traps!.CrashMemorySha256() ?? throw new LaunchException("vmshunt-hypervisor was not told of the crash");

        await processes.StartGuestAsync();
        // Not straight to --dump: the console splits its line at spaces.
        var file = folder["core"];
        DumpAnswer dump = await processes.AskAsync($"dump export {file}", GuestAnswersJson.Default.DumpAnswer, Work(options.MemoryBytes));
        if (!dump.Valid) throw new LaunchException($"the restarted guest finds its dump damaged: {dump.Reason}");
        var verified = await FileHash.OfAsync(file, cancel) == dump.Sha256 && dump.MemorySha256 == seen && CoreFile.HashMemory(file) == seen;
        if (!verified) throw new LaunchException($"the dump is not the memory at the crash: the hypervisor saw {seen}, the dump holds {CoreFile.HashMemory(file)}");
        narrator.Say($"restarted, dump exported; its memory is the memory at the crash: {seen}");
        if (options.DumpFile is { } keep) Output.KeepDump(file, keep, narrator);
        return new CrashDumpResult(crash.Dump.Road, dump.Bytes, dump.Sha256, dump.MemorySha256, verified);
    }

    private async Task<string> HashAsync(string stack, long bytes)
    {
        HashAnswer answer = await processes.AskAsync(
            string.Create(CultureInfo.InvariantCulture, $"hash --stack {stack} --bytes {bytes}"), GuestAnswersJson.Default.HashAnswer, Work(bytes));
        narrator.Say($"hashed {MemorySize.Format(bytes)} on the {stack} stack in {answer.Seconds:F2} s");
        return answer.Sha256;
    }

    private Task<ModeAnswer> ModeAsync(string mode) => processes.AskAsync($"mode {mode}", GuestAnswersJson.Default.ModeAnswer);

    // Nothing here is slower than 4 MiB/s unless it hangs.
    private static TimeSpan Work(long bytes) => TimeSpan.FromSeconds(bytes >> 22);

    private static void Compare(string road, string hash, string expected)
    {
        if (hash != expected) throw new LaunchException($"the disk reads wrong by the {road} road: SHA-256 {hash}, the file has {expected}");
    }
}
