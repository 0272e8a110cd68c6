using System.CommandLine;
using System.Globalization;
using VmShunt.Guest.Firmware.Partitions;
using VmShunt.Perf.Disks;
using VmShunt.Perf.Launch;
using VmShunt.Perf.Measure;

namespace VmShunt.Perf.Entries;

/// <summary>
/// <c>entries</c>: counts the methods that one 4 KiB read enters on each path, in all three processes together. The counts
/// come from copies of the assemblies with a counter woven into each method, so nothing about them is a time.
/// </summary>
internal static class EntriesCommand
{
    private const int Few = 100, Many = 1100;

    internal static Command Build()
    {
        var programs = new Option<string>("--programs") { Description = "The folder of the built programs, such as that of another commit. Default: this one.", DefaultValueFactory = _ => AppContext.BaseDirectory };
        var list = new Option<string?>("--list") { Description = "Write every method with its entries per request on each path to this file." };
        var command = new Command("entries", "Counts the methods and source files that one 4 KiB read enters on each path.") { programs, list };
        command.SetAction(async (parse, cancel) =>
        {
            try
            {
                await RunAsync(Path.GetFullPath(parse.GetValue(programs)!), parse.GetValue(list), cancel);
                return 0;
            }
            catch (LaunchException e)
            {
                Console.Error.WriteLine(e.Message);
                return 1;
            }
        });
        return command;
    }

    private static async Task RunAsync(string programFolder, string? list, CancellationToken cancel)
    {
        using var woven = WovenPrograms.Make(programFolder);
        using var folder = new WorkFolder();
        var options = new LaunchOptions { ProgramFolder = woven.ProgramFolder, HostOptions = ["--poll", "never"], GuestOptions = ["--poll", "never"] };
        await using var processes = ThreeProcesses.Prepare(options, folder, static socket => new HypervisorTrapCounter(socket), cancel);
        var disk = folder["disk.img"];
        DefaultDisk.Make(disk, woven.ProgramFolder, options.MemoryBytes);
        await processes.StartAsync(disk, folder);
        var info = await processes.AskAsync("info", GuestAnswersJson.Default.GuestInfo);
        var data = info.Partitions.First(static partition => partition.Type == PartitionTypes.LinuxData);

        string[] paths = [DiskPath.Trap, DiskPath.Shunted, DiskPath.Ring];
        var entered = new List<double[]>();
        foreach (var path in paths)
        {
            if (path != DiskPath.Ring) await processes.AskAsync($"mode {DiskPath.Mode(path)}", GuestAnswersJson.Default.ModeAnswer);
            // The first run also runs what runs once.
            await ReadAsync(path, Few);
            long[] start = woven.Read(), afterFew = await CountAsync(path, Few), afterMany = await CountAsync(path, Many);
            // What a command costs beside its requests falls out of the difference.
            entered.Add([.. start.Select((count, i) => (double)(afterMany[i] - (2 * afterFew[i]) + count) / (Many - Few))]);
        }
        for (var i = 0; i < paths.Length; i++) Console.WriteLine(Line(paths[i], entered[i], woven.Methods));
        if (list is not null) await File.WriteAllLinesAsync(list, Details(paths, entered, woven.Methods), cancel);

        Task<BenchAnswer> ReadAsync(string path, int requests) => processes.AskAsync(
            string.Create(CultureInfo.InvariantCulture,
                $"bench --stack {DiskPath.Stack(path)} --operation randread --block-size 4096 --depth 1 --requests {requests} --first-sector {data.FirstSector} --sectors {data.Sectors}"),
            GuestAnswersJson.Default.BenchAnswer);

        async Task<long[]> CountAsync(string path, int requests)
        {
            await ReadAsync(path, requests);
            return woven.Read();
        }
    }

    private static string Line(string path, double[] entered, IReadOnlyList<CountedMethod> methods)
    {
        var mine = Enumerable.Range(0, methods.Count).Where(i => IsEntered(entered[i])).ToList();
        var files = mine.Select(i => methods[i].File).Distinct().ToList();
        return string.Create(CultureInfo.InvariantCulture,
            $"{path}: {entered.Sum():F0} method entries per read ({mine.Where(i => methods[i].IsAccessor).Sum(i => entered[i]):F0} of accessors), {mine.Count} methods, {files.Count} files, {files.Select(Path.GetDirectoryName).Distinct().Count()} folders");
    }

    private static IEnumerable<string> Details(string[] paths, List<double[]> entered, IReadOnlyList<CountedMethod> methods) =>
        Enumerable.Range(0, methods.Count)
            .Where(i => entered.Exists(path => IsEntered(path[i])))
            .OrderBy(i => methods[i].File, StringComparer.Ordinal)
            .Select(i => string.Create(CultureInfo.InvariantCulture, $"{methods[i].File} {methods[i].Name} {string.Join(' ', paths.Select((path, p) => $"{path}={entered[p][i]:F2}"))}"));

    // Timers and threads beside the requests enter methods now and then; a request enters its own each time.
    private static bool IsEntered(double perRequest) => perRequest >= 0.5;
}
