using System.CommandLine;
using VmShunt.Perf.Launch.Model;
using VmShunt.Ring.Memory;

namespace VmShunt.Perf.Launch;

/// <summary>The command <c>launch</c>.</summary>
internal static class LaunchCommand
{
    /// <summary>Adds the options and the action to a command: the root command and <c>launch</c> do the same.</summary>
    /// <param name="command">The command.</param>
    /// <param name="program">What runs it, as a user would write it.</param>
    internal static void AddTo(Command command, string program = LaunchOptions.ByProject)
    {
        var disk = new Option<string?>("--disk") { Description = "A raw disk image or block device. It is only read unless --allow-writes is given. Default: a temporary disk made for this launch." };
        var allowWrites = new Option<bool>("--allow-writes") { Description = "Allow writes to --disk. Overwrites its data partition (or the whole disk if it has no partitions) and its dump partition." };
        var quick = new Option<bool>("--quick") { Description = "Fewer queue depths and one round of measurements instead of three." };
        var json = new Option<string?>("--json") { Description = "Write the results to this file as JSON." };
        var report = new Option<string?>("--report") { Description = "Write an HTML report with charts to this file." };
        var dump = new Option<string?>("--dump") { Description = "Keep the core dump of the crash (ELF64) in this file." };
        var memory = new Option<string>("--memory") { Description = "The memory of the guest, such as 64M.", DefaultValueFactory = _ => "64M" };
        memory.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<string>() is { } text && !IsMemory(text, out var wrong))
                result.AddError($"--memory {text}: {wrong}");
        });
        var trapState = new Option<string>("--trap-state") { Description = "What VM-H gets of a trapped access: access (region, offset, size and data) or full (the registers of the suspended processor, too).", DefaultValueFactory = _ => LaunchOptions.DefaultTrapState };
        trapState.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<string>() is not ("access" or "full") and var text) result.AddError($"--trap-state takes access or full, not '{text}'");
        });
        foreach (Option option in new Option[] { disk, allowWrites, quick, json, report, dump, memory, trapState }) command.Options.Add(option);
        command.SetAction(async (parse, unused) =>
        {
            _ = ByteSize.TryParse(parse.GetValue(memory)!, out var memoryBytes);
            var options = new LaunchOptions
            {
                Program = program,
                Disk = parse.GetValue(disk),
                AllowWrites = parse.GetValue(allowWrites),
                Quick = parse.GetValue(quick),
                JsonFile = parse.GetValue(json),
                ReportFile = parse.GetValue(report),
                DumpFile = parse.GetValue(dump),
                MemoryBytes = memoryBytes,
                TrapState = parse.GetValue(trapState)!,
            };
            using var stop = new StopSignals();
            var launcher = new Launcher(
                options, Consoles.Output(), Consoles.Errors(),
                static socket => new HypervisorTrapCounter(socket), stop.Token);
            var code = await launcher.RunAsync();
            return stop.ExitCode ?? code;
        });
    }

    private static bool IsMemory(string text, out string wrong)
    {
        var machine = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
        wrong = $"this machine has {MemorySize.Format(machine)}; ask for less";
        if (ByteSize.TryParse(text, out var bytes) && bytes > machine) return false;
        wrong = "give at least 16M, a multiple of 4096 bytes, such as 64M";
        return bytes >= 16 << 20 && bytes % 4096 == 0;
    }
}
