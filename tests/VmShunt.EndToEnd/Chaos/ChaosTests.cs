using System.Diagnostics;
using System.Globalization;
using VmShunt.EndToEnd.Processes;
using VmShunt.Perf.Disks;
using VmShunt.Perf.Launch;
using Xunit.Abstractions;

namespace VmShunt.EndToEnd.Chaos;

/// <summary>
/// The three processes under a verified load and random faults: mode changes, other shunts, rescinded buses, stopped
/// processes, crashes and kills. No request may be lost, repeated, or reordered against a flush. VMSHUNT_CHAOS_SECONDS sets
/// the duration, VMSHUNT_CHAOS_SEED repeats the decisions of a run.
/// </summary>
public sealed class ChaosTests(OwnDisk own, ITestOutputHelper output) : IClassFixture<OwnDisk>, IDisposable
{
    private const int ShortSeconds = 15, LongSeconds = 1500, LoadDepth = 48;

    private static readonly string[] s_modes = ["emulating", "enlightened", "enlightened", "alternate"];
    private static readonly string[] s_sources = ["told", "arrives", "looks", "tries", "commanded"];
    private static readonly string[] s_positions = ["above-class", "below-class", "below-port"];
    private static readonly string[] s_policies = ["auto", "all", "importance", "frequency", "effort"];

    private readonly TestFolder _folder = new();
    private readonly Dictionary<string, int> _happened = [];
    private Random _random = null!;
    private RunningMachine? _machine;
    private ModelledPart _part = null!;
    private string _disk = "", _load = "";
    private IReadOnlyList<string> _expected = [];
    private long _checked, _kept;

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task Random_faults_lose_repeat_and_reorder_no_request_against_a_flush()
    {
        var seed = Setting("VMSHUNT_CHAOS_SEED") ?? Random.Shared.Next();
        var duration = TimeSpan.FromSeconds(Setting("VMSHUNT_CHAOS_SECONDS") ?? LongForm.Choose(ShortSeconds, LongSeconds));
        output.WriteLine($"VMSHUNT_CHAOS_SEED={seed}");
        _random = new Random(seed);
        _disk = own.CopyTo(_folder);
        var start = Stopwatch.GetTimestamp();
        try
        {
            await BootAsync();
            while (Stopwatch.GetElapsedTime(start) < duration || _checked == 0) await SomethingAsync();
            await StopLoadAsync();
            await _machine!.AskAsync("flush");
            AssertModel();
            var hash = await _machine.AskAsync("hash", GuestAnswersJson.Default.HashAnswer);
            Assert.Equal(await FileHash.OfAsync(_disk, default), hash.Sha256);
        }
        catch (Exception e)
        {
            throw new InvalidOperationException($"after {string.Join(", ", _happened)}; VMSHUNT_CHAOS_SEED={seed}: {e.Message}", e);
        }
        finally
        {
            if (_machine is not null) await _machine.DisposeAsync();
        }
        var seen = $"{string.Join(", ", _happened.OrderBy(static h => h.Key))}; {_checked} requests compared with the model, {_kept} acknowledged changes kept over a kill";
        output.WriteLine(seen);
        LongForm.Keep(nameof(ChaosTests), $"{duration.TotalSeconds} s, seed {seed}: {seen}");
        Assert.True(_checked > 0, "scripts were compared with the model");
    }

    private static int? Setting(string name) => int.TryParse(Environment.GetEnvironmentVariable(name), CultureInfo.InvariantCulture, out var value) ? value : null;

    private RunningMachine Machine => _machine!;

    private Task SomethingAsync() => _random.Next(100) switch
    {
        < 30 => DoAsync("script", ReplayAsync),
        < 45 => DoAsync("mode", () => WithBusAsync($"mode {Pick(s_modes)}")),
        < 60 => DoAsync("shunt", () => WithBusAsync(
            $"shunt --mode-source {Pick(s_sources)} --shunt-position {Pick(s_positions)} --shunt-policy {Pick(s_policies)}")),
        < 70 => DoAsync("rescind", RescindAsync),
        < 78 => DoAsync("stop", StopOneAsync),
        < 84 => DoAsync("reverse shunt", ReverseAsync),
        < 90 => DoAsync("load", RestartLoadAsync),
        < 95 => DoAsync("crash", CrashAsync),
        < 98 => DoAsync("guest killed", KillGuestAsync),
        _ => DoAsync("servers killed", KillServerAsync),
    };

    private async Task DoAsync(string what, Func<Task> action)
    {
        _happened[what] = _happened.GetValueOrDefault(what) + 1;
        await action();
    }

    private string Pick(string[] from) => from[_random.Next(from.Length)];

    private async Task BootAsync()
    {
        if (_machine is not null) await _machine.DisposeAsync();
        _machine = await RunningMachine.BootAsync(_disk);
        await FindPartsAsync();
        await StartLoadAsync();
    }

    /// <summary>The scripts use one half of the data partition, the load the other half.</summary>
    private async Task FindPartsAsync()
    {
        var data = await Machine.DataAsync();
        _part ??= new ModelledPart(_disk, data.First, data.Count / 2);
        _load = string.Create(CultureInfo.InvariantCulture, $"--first-sector {data.First + data.Count / 2} --sectors {data.Count - data.Count / 2}");
        AssertModel();
    }

    private async Task StartLoadAsync() => await Machine.AskAsync($"load start --stack emulating --depth {LoadDepth} --write {_load}");

    private async Task StopLoadAsync()
    {
        var load = await Machine.AskAsync("load stop", GuestAnswersJson.Default.LoadAnswer);
        Assert.Equal((0, 0, 0, 0), (load.Failed, load.Lost, load.Repeated, load.Mismatched));
        Assert.Equal(load.Requests, load.Completed);
    }

    private async Task RestartLoadAsync()
    {
        await StopLoadAsync();
        await StartLoadAsync();
    }

    /// <summary>Replays a script, whose results the model gives, while the bus is rescinded and processes stop.</summary>
    private async Task ReplayAsync()
    {
        var script = _part.Next(_random.Next(), requests: 60);
        File.WriteAllLines(_folder["script"], script.Lines);
        var replay = Machine.AskAsync($"replay --stack emulating --script {_folder["script"]} --transcript {_folder["transcript"]}");
        for (var i = _random.Next(4); i > 0 && !replay.IsCompleted; i--)
        {
            if (_random.Next(2) == 0) await RescindAsync();
            else await StopOneAsync();
        }
        await replay;
        Assert.Equal(script.Expected, File.ReadAllLines(_folder["transcript"]));
        _part.Done();
        _checked += script.Expected.Count;
    }

    private async Task RescindAsync()
    {
        var owner = _random.Next(2) == 0 ? Machine.Host : Machine.Hypervisor;
        ProcessTable.Send(owner.Id, ProcessTable.SIGUSR1);
        await Task.Delay(_random.Next(40));
        ProcessTable.Send(owner.Id, ProcessTable.SIGUSR2);
    }

    private async Task StopOneAsync()
    {
        var stopped = _random.Next(3) switch { 0 => Machine.Host, 1 => Machine.Hypervisor, _ => Machine.Guest };
        ProcessTable.Send(stopped.Id, ProcessTable.SIGSTOP);
        await Task.Delay(_random.Next(60));
        ProcessTable.Send(stopped.Id, ProcessTable.SIGCONT);
    }

    private async Task ReverseAsync()
    {
        if ((await Machine.InfoAsync()).Mode != "enlightened") return;
        await WithBusAsync($"reverse-shunt {(_random.Next(2) == 0 ? "emulating" : "inert")}");
    }

    /// <summary>A command that needs the bus. It may fail because the bus is rescinded.</summary>
    private async Task WithBusAsync(string command)
    {
        try
        {
            await Machine.AskAsync(command);
        }
        catch (LaunchException e) when (e.Message.Contains("could not do", StringComparison.Ordinal) && e.Message.Contains("bus", StringComparison.Ordinal)
            || e.Message.Contains("there is no enlightened stack", StringComparison.Ordinal))
        {
            _happened["without bus"] = _happened.GetValueOrDefault("without bus") + 1;
        }
    }

    private async Task CrashAsync()
    {
        var how = _random.Next(4) switch { 0 => " --scribble", 1 => " --while-changing-mode", 2 => " --again", _ => "" };
        await Machine.AskAsync($"crash --in-flight 16{how}");
        await Machine.GuestEndsAsync();
        await Machine.StartGuestAsync();
        var dump = await Machine.AskAsync($"dump export {_folder["core"]}");
        Assert.True(dump.GetProperty("valid").GetBoolean(), "the dump is correct");
        await FindPartsAsync();
        await StartLoadAsync();
    }

    private async Task KillGuestAsync()
    {
        await BeginScriptAsync();
        ProcessTable.Send(Machine.Guest.Id, ProcessTable.SIGKILL);
        await Machine.Guest.Ended;
        CheckInterruptedScript();
        await Machine.StartGuestAsync();
        await FindPartsAsync();
        await StartLoadAsync();
    }

    /// <summary>A guest cannot run without VM-H or the hypervisor, so all three start again.</summary>
    private async Task KillServerAsync()
    {
        await BeginScriptAsync();
        ProcessTable.Send(_random.Next(2) == 0 ? Machine.Host.Id : Machine.Hypervisor.Id, ProcessTable.SIGKILL);
        await Machine.Guest.Ended;
        CheckInterruptedScript();
        await BootAsync();
    }

    /// <summary>Starts a script that a kill will interrupt.</summary>
    private async Task BeginScriptAsync()
    {
        File.Delete(_folder["cut-transcript"]);
        var script = _part.Next(_random.Next(), requests: 60);
        _expected = script.Expected;
        File.WriteAllLines(_folder["cut"], script.Lines);
        _ = Machine.AskAsync($"replay --stack emulating --script {_folder["cut"]} --transcript {_folder["cut-transcript"]}")
            .ContinueWith(static answer => _ = answer.Exception, TaskScheduler.Default);
        await Task.Delay(_random.Next(60));
    }

    /// <summary>Every acknowledged request must be on the disk, whichever process was killed.</summary>
    private void CheckInterruptedScript()
    {
        var transcript = File.Exists(_folder["cut-transcript"]) ? File.ReadAllText(_folder["cut-transcript"]) : "";
        // The text after the last line end is an incomplete line.
        var acknowledged = transcript.Split('\n')[..^1];
        Assert.Equal(_expected.Take(acknowledged.Length), acknowledged);
        _kept += _part.Interrupted(acknowledged.Length);
    }

    private void AssertModel() => Assert.Null(_part.Check());
}
