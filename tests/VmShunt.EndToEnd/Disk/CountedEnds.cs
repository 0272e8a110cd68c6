using System.Text.Json;
using VmShunt.EndToEnd.Processes;
using VmShunt.Perf.Launch;
using Xunit.Abstractions;

namespace VmShunt.EndToEnd.Disk;

/// <summary>
/// VM-H and a guest, and where the guest boots a hypervisor, whose system calls are counted. They run without tiered
/// compilation: the runtime compiles a method once, when it first runs, and not again during a count.
/// </summary>
internal sealed class CountedEnds : IAsyncDisposable
{
    private const int DiskBytes = 32 << 20, WarmUp = 2000;
    private const int MostTries = 5, CallsOfJit = 10;
    private const string CompileOnce = "DOTNET_TieredCompilation=0";

    private readonly List<ChildProcess> _processes = [];
    private GuestConsole? _console;

    /// <summary>The hypervisor's calls in the last count, if there is a hypervisor.</summary>
    internal SystemCalls? Hypervisor { get; private set; }

    /// <summary>Starts VM-H on a disk of memory or on a file, and a guest on its ring.</summary>
    internal static async Task<CountedEnds> StartAsync(TestFolder folder, string disk, string poll, string hostOptions, params string[] guestOptions)
    {
        var ends = new CountedEnds();
        try
        {
            var spec = disk == "memory" ? $"memory:{DiskBytes}" : folder.RandomFile("disk.img", DiskBytes);
            await ends.AddAsync("vmshunt-host", ["--disk", spec, "--vhost-user", folder["ring"], "--poll", poll, .. Words(hostOptions)]);
            await ends.AddAsync("vmshunt-guest", ["--bus", folder["ring"], "--memory", "32M", "--poll", poll, .. guestOptions, "console"]);
            return ends;
        }
        catch
        {
            await ends.DisposeAsync();
            throw;
        }
    }

    /// <summary>Starts VM-H, the hypervisor, and a guest in emulating mode.</summary>
    internal static async Task<CountedEnds> BootAsync(TestFolder folder, string disk, string hostOptions, params string[] guestOptions)
    {
        var ends = new CountedEnds();
        string ring = folder["ring"], trap = folder["trap"], socket = folder["hypervisor"];
        try
        {
            await ends.AddAsync("vmshunt-host", ["--disk", disk, "--vhost-user", ring, "--vfio-user", trap, .. Words(hostOptions)]);
            await ends.AddAsync("vmshunt-hypervisor", ["--socket", socket, "--device", $"disk0,vhost-user={ring},vfio-user={trap}"]);
            await ends.AddAsync("vmshunt-guest", ["--hypervisor", socket, "--memory", $"{OwnDisk.MemoryBytes}", "--mode", "emulating", .. guestOptions, "console"]);
            return ends;
        }
        catch
        {
            await ends.DisposeAsync();
            throw;
        }
    }

    internal Task<JsonElement> AskAsync(string command) => _console!.AskAsync(command, Programs.AnyAnswer, Until.Patience, default);

    /// <summary>Counts the calls of a number of requests, after a warm-up.</summary>
    /// <param name="load">Operation, depth, and further options of <c>bench</c>.</param>
    /// <param name="requests">How many.</param>
    /// <param name="output">For the counts.</param>
    internal async Task<(SystemCalls Host, SystemCalls Guest)> CountAsync(string load, int requests, ITestOutputHelper output)
    {
        var words = load.Split(' ', 3);
        var bench = $"bench --operation {words[0]} --depth {words[1]} {words.ElementAtOrDefault(2)}";
        await AskAsync($"{bench} --requests {WarmUp}");
        // On a busy machine the JIT compiles later: what it does happens once, what a request costs happens every time.
        for (var tries = 1; ; tries++)
        {
            var counts = await CountOnceAsync($"{bench} --requests {requests}");
            output.WriteLine($"{load}, {requests} requests");
            foreach (var count in counts) output.WriteLine($"  {count}");
            if (tries < MostTries && counts.Any(static count => count["mprotect"] + count["madvise"] > CallsOfJit)) continue;
            Hypervisor = counts.Count == 3 ? counts[1] : null;
            return (counts[0], counts[^1]);
        }
    }

    private async Task<List<SystemCalls>> CountOnceAsync(string bench)
    {
        var traces = new List<SystemCallTrace>();
        try
        {
            foreach (var process in _processes) traces.Add(await SystemCallTrace.AttachAsync(process.Id));
            await AskAsync(bench);
            var counts = new List<SystemCalls>();
            foreach (var trace in traces) counts.Add(await trace.EndAsync());
            return counts;
        }
        finally
        {
            foreach (var trace in traces) await trace.DisposeAsync();
        }
    }

    public async ValueTask DisposeAsync()
    {
        _processes.Reverse();
        foreach (var process in _processes) await process.DisposeAsync();
    }

    private static string[] Words(string options) => options.Split(' ', StringSplitOptions.RemoveEmptyEntries);

    private async Task AddAsync(string program, string[] arguments)
    {
        var process = await Programs.ReadyAsync(Programs.StartWith(CompileOnce, program, arguments));
        _processes.Add(process);
        _console = new GuestConsole(process);
    }
}
