using VmShunt.EndToEnd.Processes;
using VmShunt.Perf.Launch;
using VmShunt.Ring.Files;
using VmShunt.Ring.Interop;
using VmShunt.Ring.VhostUser;
using VmShunt.Ring.VirtioBlk;
using Xunit.Abstractions;

namespace VmShunt.EndToEnd.Disk;

public sealed class ManyConnectionsTests(ITestOutputHelper output) : IDisposable
{
    private const int Connections = 10_000, Before = 1000;
    private const long RamBytes = 2 << 20;

    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task Ten_thousand_front_ends_connect_and_disconnect_and_leave_no_memory_thread_descriptor_or_mapping()
    {
        var socket = _folder["ring"];
        await using var host = await Programs.StartReadyAsync("vmshunt-host", "--disk", "memory:1M", "--vhost-user", socket);
        using var ram = SharedMemoryFile.Create("guest", RamBytes);
        Resources first = default;
        for (var i = 0; i < Connections; i++)
        {
            if (i == Before) first = await SettledAsync(host);
            using var frontend = VhostUserFrontend.Open(UnixConnection.Connect(socket), (ulong)VirtioBlkFeatures.Version1, (ulong)VirtioBlkFeatures.Version1);
            // Some disconnect at once, some after they have shared their memory.
            if (i % 2 == 0) frontend.ShareMemory([(0, RamBytes, 0)], ram);
        }
        var last = await SettledAsync(host);
        output.WriteLine($"after {Before}: {first}; after {Connections}: {last}");
        Assert.Equal(first.Descriptors, last.Descriptors);
        // The runtime sometimes has a thread that compiles.
        Assert.InRange(last.Threads, 1, first.Threads + 1);
        // The runtime sometimes maps more; sessions that leaked a mapping each would add nine thousand.
        Assert.InRange(last.Mappings, 0, first.Mappings + (Connections - Before) / 100);
        // The size of the GC's heap varies; what each session leaked would add up to more.
        Assert.InRange(last.ResidentKilobytes, 0, first.ResidentKilobytes + 24 * 1024);
    }

    private static async Task<Resources> SettledAsync(ChildProcess host)
    {
        var now = Resources.Of(host.Id);
        await Until.TrueAsync(
            async () =>
            {
                var before = now;
                await Task.Delay(100);
                now = Resources.Of(host.Id);
                return before.Threads == now.Threads && before.Descriptors == now.Descriptors;
            },
            "VM-H has closed the last sessions");
        return now;
    }

    private readonly record struct Resources(int Threads, int Descriptors, int Mappings, long ResidentKilobytes)
    {
        internal static Resources Of(int process)
        {
            var status = File.ReadAllLines($"/proc/{process}/status").Single(static line => line.StartsWith("VmRSS:", StringComparison.Ordinal));
            return new Resources(
                Directory.GetDirectories($"/proc/{process}/task").Length,
                Directory.GetFileSystemEntries($"/proc/{process}/fd").Length,
                File.ReadLines($"/proc/{process}/maps").Count(),
                long.Parse(status.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], System.Globalization.CultureInfo.InvariantCulture));
        }
    }
}
