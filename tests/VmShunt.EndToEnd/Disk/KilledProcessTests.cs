using VmShunt.EndToEnd.Processes;
using VmShunt.Perf.Launch;

namespace VmShunt.EndToEnd.Disk;

public sealed class KilledProcessTests(OwnDisk own) : IClassFixture<OwnDisk>, IDisposable
{
    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("vmshunt-host", "vmshunt-hypervisor", "VM-H of device disk0 disconnected")]
    [InlineData("vmshunt-hypervisor", "vmshunt-guest", "the hypervisor is lost")]
    [InlineData("vmshunt-guest", null, null)]
    public async Task A_process_killed_during_a_launch_is_named_with_its_last_lines_and_nothing_is_left(string killed, string? survivor, string? why)
    {
        var temporary = Directory.CreateDirectory(_folder["tmp"]).FullName;
        await using var launch = Programs.Start(
            "/usr/bin/env", $"TMPDIR={temporary}", Path.Combine(AppContext.BaseDirectory, "vmshunt-perf"), "launch", "--quick", "--memory", "32M");
        await Programs.WaitForLineAsync(launch, "Every path is measured");
        int[] children = [.. new[] { "vmshunt-host", "vmshunt-hypervisor", "vmshunt-guest" }.Select(name => ProcessTable.FindChild(launch.Id, name)!.Value)];
        var victim = ProcessTable.FindChild(launch.Id, killed)!.Value;
        ProcessTable.Send(victim, ProcessTable.SIGKILL);

        var ended = await Programs.WaitForEndAsync(launch);

        Assert.Equal(1, ended.ExitCode);
        Assert.Contains($"{killed} (process {victim}) exited with code 137 (signal 9). Its last lines:", ended.ErrorText, StringComparison.Ordinal);
        Assert.Contains("Failed:", ended.ErrorText, StringComparison.Ordinal);
        Assert.Contains(killed, ended.Errors.Single(static line => line.StartsWith("Failed:", StringComparison.Ordinal)), StringComparison.Ordinal);
        if (survivor is not null)
        {
            Assert.Contains($"{survivor} (process ", ended.ErrorText, StringComparison.Ordinal);
            Assert.Contains(why!, ended.ErrorText, StringComparison.Ordinal);
        }
        Assert.False(ended.ErrorText.Contains("   at ", StringComparison.Ordinal), ended.ErrorText);
        Assert.All(children, static child => Assert.False(Directory.Exists($"/proc/{child}"), $"process {child} still runs"));
        Assert.Empty(Directory.EnumerateFileSystemEntries(temporary, "vmshunt-*"));
        Assert.Empty(ProcessTable.WithCommandLine(temporary));
    }

    [Theory]
    [InlineData("vmshunt-host", "hypervisor: VM-H of device disk0 disconnected", "guest: the hypervisor is lost")]
    [InlineData("vmshunt-hypervisor", "host: the last client disconnected 1 s ago", "guest: the hypervisor is lost")]
    [InlineData("vmshunt-guest", "host: the last client disconnected 1 s ago", "hypervisor: no guest has been connected for 1 s (--linger)")]
    public async Task When_a_process_is_killed_the_others_exit_by_themselves_and_log_why(string killed, params string[] said)
    {
        string ring = _folder["ring"], trap = _folder["trap"], socket = _folder["hypervisor"];
        await using var host = await Programs.StartReadyAsync("vmshunt-host", "--disk", own.CopyTo(_folder), "--vhost-user", ring, "--vfio-user", trap, "--linger", "1");
        await using var hypervisor = await Programs.StartReadyAsync(
            "vmshunt-hypervisor", "--socket", socket, "--device", $"disk0,vhost-user={ring},vfio-user={trap}", "--linger", "1");
        await using var guest = await Programs.StartReadyAsync("vmshunt-guest", "--hypervisor", socket, "--memory", "32M", "console");
        var console = new GuestConsole(guest);
        await console.AskAsync("load start --depth 32", GuestAnswersJson.Default.PlainAnswer, default, default);

        var all = new Dictionary<string, ChildProcess> { ["host"] = host, ["hypervisor"] = hypervisor, ["guest"] = guest };
        ProcessTable.Send(all[killed["vmshunt-".Length..]].Id, ProcessTable.SIGKILL);

        foreach (var line in said)
        {
            var colon = line.IndexOf(':', StringComparison.Ordinal);
            var ended = await Programs.WaitForEndAsync(all[line[..colon]]);
            Assert.Contains(line[(colon + 2)..], ended.ErrorText, StringComparison.Ordinal);
            Assert.DoesNotContain("   at ", ended.ErrorText, StringComparison.Ordinal);
            // A process without clients exits with 0, one that lost its peer with 1.
            Assert.Equal(line.Contains("disconnected 1 s ago", StringComparison.Ordinal) || line.Contains("connected for", StringComparison.Ordinal) ? 0 : 1, ended.ExitCode);
        }
        Assert.Equal(137, (await Programs.WaitForEndAsync(all[killed["vmshunt-".Length..]])).ExitCode);
        Assert.Empty(ProcessTable.WithCommandLine(_folder.Path));
    }
}
