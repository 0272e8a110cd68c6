using System.CommandLine;
using VmShunt.Ring.Memory;

namespace VmShunt.Perf.Launch;

/// <summary>The options of <c>launch</c>.</summary>
internal static class LaunchCommand
{
    /// <summary>Adds the options and the action to a command; the root and <c>launch</c> are the same.</summary>
    internal static void AddTo(Command command)
    {
        var disk = new Option<string?>("--disk") { Description = "A raw disk image or block device. Never written unless --allow-writes is given. Default: a disk made for this launch." };
        var allowWrites = new Option<bool>("--allow-writes") { Description = "Lets the run write to --disk: its data partition (or all of it, when it has no partitions) and its dump partition lose their content." };
        var quick = new Option<bool>("--quick") { Description = "Fewer depths and one round of measurements." };
        var json = new Option<string?>("--json") { Description = "Write the results to this file." };
        var report = new Option<string?>("--report") { Description = "Write an HTML report to this file." };
        var dump = new Option<string?>("--dump") { Description = "Keep the exported core of the crash in this file." };
        var memory = new Option<string>("--memory") { Description = "The guest's memory, such as 64M.", DefaultValueFactory = _ => "64M" };
        memory.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<string>() is { } text && !IsMemory(text, out var wrong))
                result.AddError($"--memory {text}: {wrong}");
        });
        foreach (Option option in new Option[] { disk, allowWrites, quick, json, report, dump, memory }) command.Options.Add(option);
        command.SetAction(async (parse, unused) =>
        {
            _ = ByteSize.TryParse(parse.GetValue(memory)!, out var memoryBytes);
            var options = new LaunchOptions
            {
                Disk = parse.GetValue(disk),
                AllowWrites = parse.GetValue(allowWrites),
                Quick = parse.GetValue(quick),
                JsonFile = parse.GetValue(json),
                ReportFile = parse.GetValue(report),
                DumpFile = parse.GetValue(dump),
                MemoryBytes = memoryBytes,
            };
            using var stop = new StopSignals();
            var launcher = new Launcher(
                options, ConsoleOf.Output(), ConsoleOf.Errors(),
                static socket => new HypervisorTrapCounter(socket), stop.Token);
            var code = await launcher.RunAsync();
            return stop.ExitCode ?? code;
        });
    }

    private static bool IsMemory(string text, out string wrong)
    {
        var machine = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
        wrong = $"this machine has {MemorySize.Format(machine)}, ask for less";
        if (ByteSize.TryParse(text, out var bytes) && bytes > machine) return false;
        wrong = "give at least 16M in whole pages, such as 64M";
        return bytes >= 16 << 20 && bytes % 4096 == 0;
    }
}
