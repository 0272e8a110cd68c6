using System.Text.Json;
using VmShunt.EndToEnd.Processes;
using VmShunt.Perf.Launch;
using Xunit.Abstractions;

namespace VmShunt.EndToEnd.Disk;

/// <summary>Many guests of one VM-H, whose rings share a poller. The long form has 64.</summary>
public sealed class ManyGuestsTests(ITestOutputHelper output) : IDisposable
{
    private const int Killed = 4, AtOnce = 4, SectorsEach = 512, Stride = 3;

    private static readonly int s_guests = LongForm.Choose(16, 64);

    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task Many_guests_verify_their_loads_on_one_poller_while_some_are_killed_and_idle_ones_cost_nothing()
    {
        var socket = _folder["ring"];
        await using var host = await Programs.StartReadyAsync(
            "vmshunt-host", "--disk", $"memory:{s_guests * SectorsEach * 512}", "--vhost-user", socket, "--pollers", "1");
        var guests = new List<ChildProcess>();
        try
        {
            while (guests.Count < s_guests)
            {
                guests.AddRange(await Task.WhenAll(Enumerable.Range(0, AtOnce).Select(_ =>
                    Programs.StartReadyAsync("vmshunt-guest", "--bus", socket, "--memory", "16M", "--poll", "adaptive", "console"))));
            }
            var consoles = guests.ConvertAll(static guest => new GuestConsole(guest));
            for (var i = 0; i < s_guests; i++)
                await AskAsync(consoles[i], $"load start --depth 4 --write --first-sector {i * SectorsEach} --sectors {SectorsEach}");
            for (var i = 0; i < Killed; i++) ProcessTable.Send(guests[i * Stride].Id, ProcessTable.SIGKILL);
            Assert.Equal(1, Named(host, "rings"));

            long requests = 0;
            for (var i = 0; i < s_guests; i++)
            {
                if (i % Stride == 0 && i / Stride < Killed) continue;
                var load = await consoles[i].AskAsync("load stop", GuestAnswersJson.Default.LoadAnswer, Until.Patience, default);
                Assert.Equal((0, 0, 0, 0), (load.Failed, load.Lost, load.Repeated, load.Mismatched));
                Assert.Equal(load.Requests, load.Completed);
                Assert.True(load.Requests > 0, $"guest {i} was served");
                requests += load.Requests;
            }
            var seen = $"{requests} verified requests of {s_guests - Killed} guests";
            output.WriteLine(seen);
            LongForm.Keep(nameof(ManyGuestsTests), seen + ", none lost, repeated or failed");

            // Without requests the one thread that serves all guests does not run at all.
            var before = -1L;
            await Until.TrueAsync(
                async () =>
                {
                    var last = before;
                    before = RunTime(host, "rings");
                    await Task.Delay(200);
                    return before == last;
                },
                "the poller uses no processor time for 200 ms");
            Assert.Equal(0, Named(host, "vring 0"));
            await AskAsync(consoles[^1], "hash");
            Assert.True(RunTime(host, "rings") > before, "the poller serves again");
        }
        finally
        {
            foreach (var guest in guests) await guest.DisposeAsync();
        }
    }

    private static Task<JsonElement> AskAsync(GuestConsole console, string command) => console.AskAsync(command, Programs.AnyAnswer, Until.Patience, default);

    private static IEnumerable<string> Threads(ChildProcess process, string name) =>
        Directory.EnumerateDirectories($"/proc/{process.Id}/task").Where(thread => File.ReadAllText($"{thread}/comm").TrimEnd() == name);

    private static int Named(ChildProcess process, string name) => Threads(process, name).Count();

    // schedstat: time on a core in nanoseconds, time waiting for one, times it got one.
    private static long RunTime(ChildProcess process, string name) =>
        Threads(process, name).Sum(static thread => long.Parse(File.ReadAllText($"{thread}/schedstat").Split(' ')[0], System.Globalization.CultureInfo.InvariantCulture));
}
