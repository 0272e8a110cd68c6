using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;
using VmShunt.EndToEnd.Processes;
using VmShunt.Perf.Disks;
using VmShunt.Perf.Launch;
using VmShunt.Trap.VmExit;
using Xunit.Abstractions;

namespace VmShunt.EndToEnd.Crash;

public sealed partial class CrashTests(OwnDisk own, ITestOutputHelper output) : IClassFixture<OwnDisk>, IDisposable
{
    private const int InFlight = 32;

    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("enlightened")]
    [InlineData("alternate")]
    [InlineData("emulating")]
    public async Task A_crash_with_requests_in_flight_and_scribbled_rings_leaves_a_correct_dump_each_time(string mode)
    {
        await using var machine = await RunningMachine.BootAsync(own.CopyTo(_folder));
        for (var life = 1; life <= 2; life++)
        {
            var crash = await CrashAsync(machine, mode);
            Assert.InRange(crash.Answer.InFlight, InFlight, int.MaxValue);
            Assert.Equal("trap", crash.Answer.Dump.Path);
            Assert.Equal(mode == "emulating" ? 0 : 1, crash.Record.ChannelsRevoked);

            await machine.StartGuestAsync();
            Assert.NotNull((await machine.InfoAsync()).Dump);
            var core = _folder[$"core-{life}"];
            var dump = await machine.AskAsync($"dump export {core}", GuestAnswersJson.Default.DumpAnswer);
            Assert.True(dump.Valid);
            Assert.Equal(crash.Answer.Dump.Bytes, dump.Bytes);
            Assert.Equal(await FileHash.OfAsync(core, default), dump.Sha256);
            Assert.Equal(crash.Record.MemorySha256, dump.MemorySha256);
            Assert.Equal(crash.Record.MemorySha256, CoreFile.HashMemory(core));
            // A saved dump is not offered again.
            Assert.Null((await machine.InfoAsync()).Dump);
        }
    }

    [Fact]
    public async Task No_ring_reaches_the_memory_when_it_is_hashed_and_dumped()
    {
        await using var machine = await RunningMachine.BootAsync(own.CopyTo(_folder));
        var byTrap = ProcessTable.GuestMemoryMapped(machine.Host.Id);
        Assert.Equal(OwnDisk.MemoryBytes, byTrap);
        await machine.ModeAsync("enlightened");
        Assert.Equal(2 * byTrap, ProcessTable.GuestMemoryMapped(machine.Host.Id));

        using var done = new CancellationTokenSource();
        var watching = Task.Run(() => Watch(machine.Host.Id, done.Token));
        (CrashAnswer Answer, CrashStatistics Record) crash;
        try
        {
            crash = await CrashAsync(machine, "enlightened");
        }
        finally
        {
            await done.CancelAsync();
        }
        var samples = await watching;

        var events = crash.Record.Events;
        Assert.Equal(Enumerable.Range(1, events.Count), events.Select(static e => e.Sequence));
        Assert.Equal(events.Select(static e => e.MonotonicNanoseconds).Order(), events.Select(static e => e.MonotonicNanoseconds));
        foreach (var step in events) output.WriteLine($"{step.MonotonicNanoseconds / 1e9:F6} {step.What}");
        int revoked = IndexOf("revoked, VM-H closed it"), hashed = IndexOf("memory hashed"), resumed = IndexOf("the crashing processor resumes");
        Assert.True(IndexOf("the guest crashed") < IndexOf("stay suspended") && IndexOf("stay suspended") < revoked);
        Assert.True(revoked < hashed && hashed < resumed, "the ring is closed before the memory is hashed, and that before the dump");

        // VM-H's log entry, on the same clock, is older than the hypervisor's step.
        var closed = HostClosedTheRing(machine.Host);
        output.WriteLine($"{closed / 1e9:F6} VM-H: ring closed");
        Assert.True(closed < events[hashed].MonotonicNanoseconds);

        // By the kernel's account: of the guest's RAM at most the trap's mapping remains, and the dump's memory is mapped read-only.
        var after = samples.Where(s => s.At > events[revoked].MonotonicNanoseconds).ToList();
        Assert.All(after, sample => Assert.InRange(sample.Mapped, 0, byTrap));
        Assert.All(samples, sample => Assert.Equal(0, sample.WritableDump));
        Assert.Contains(after, static sample => sample.Dump == OwnDisk.MemoryBytes);
        output.WriteLine($"{samples.Count} samples of the mappings, {after.Count} after the revocation");

        int IndexOf(string what)
        {
            var index = events.ToList().FindIndex(e => e.What.Contains(what, StringComparison.Ordinal));
            Assert.True(index >= 0, $"no step '{what}'");
            return index;
        }
    }

    [FactIfInstalled("readelf")]
    public async Task Readelf_accepts_the_dump_with_its_notes()
    {
        var core = _folder["core"];
        await using var machine = await RunningMachine.BootAsync(own.CopyTo(_folder));
        await CrashAsync(machine, "enlightened");
        await machine.StartGuestAsync();
        await machine.AskAsync($"dump export {core}");

        var readelf = await Programs.RunAsync(Installed.Require("readelf"), "-h", "-l", "-n", "-W", core);
        var text = string.Join('\n', readelf.Output);
        Assert.Equal(0, readelf.ExitCode);
        Assert.Empty(readelf.Errors);
        foreach (var expected in new[] { "ELF64", "CORE (Core file)", "X86-64", "LOAD", "NT_PRSTATUS", "VMSHUNT" })
            Assert.Contains(expected, text, StringComparison.Ordinal);
    }

    /// <summary>Crashes under a load that writes, and waits until the guest exits.</summary>
    private static async Task<(CrashAnswer Answer, CrashStatistics Record)> CrashAsync(RunningMachine machine, string mode)
    {
        var data = await machine.DataAsync();
        await machine.ModeAsync(mode);
        await machine.AskAsync($"load start --depth {2 * InFlight} --write --first-sector {data.First} --sectors {data.Count}");
        await machine.LoadGoesOnAsync();
        var answer = await machine.AskAsync($"crash --in-flight {InFlight} --scribble", GuestAnswersJson.Default.CrashAnswer);
        await machine.GuestEndsAsync();
        return (answer, machine.Statistics().Crash!);
    }

    private static List<Sample> Watch(int host, CancellationToken done)
    {
        var samples = new List<Sample>();
        while (!done.IsCancellationRequested)
        {
            // The time before the sample: a sample with a later time than an event was read after it.
            var at = Nanoseconds();
            samples.Add(new Sample(
                at,
                ProcessTable.GuestMemoryMapped(host),
                ProcessTable.DumpMemoryMapped(host, writable: false),
                ProcessTable.DumpMemoryMapped(host, writable: true)));
        }
        return samples;
    }

    private readonly record struct Sample(long At, long Mapped, long Dump, long WritableDump);

    private static long HostClosedTheRing(ChildProcess host)
    {
        var line = host.LastOutput.Last(static l => l.Contains("closed: rings stopped, guest memory released", StringComparison.Ordinal));
        var time = TimeSpan.Parse(TimeOfDay().Match(line).Value, CultureInfo.InvariantCulture);
        var now = DateTime.UtcNow;
        var ago = now.TimeOfDay - time;
        if (ago < TimeSpan.Zero) ago += TimeSpan.FromDays(1);
        return Nanoseconds() - (long)ago.TotalNanoseconds;
    }

    private static long Nanoseconds() => (long)(Stopwatch.GetTimestamp() * (1e9 / Stopwatch.Frequency));

    [GeneratedRegex(@"\d\d:\d\d:\d\d\.\d{6}")]
    private static partial Regex TimeOfDay();
}
