using VmShunt.EndToEnd.Processes;
using VmShunt.Perf.Launch;

namespace VmShunt.EndToEnd.Sandbox;

/// <summary>
/// What <c>--sandbox on</c> forbids, tried from inside: a hidden option makes the process try it where it would get ready.
/// </summary>
public sealed class SandboxTests : IDisposable
{
    private const int KilledBySigsys = 128 + 31;

    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    public static TheoryData<string> Servers
    {
        get
        {
            var servers = new TheoryData<string> { OwnPrograms.Find("vmshunt-host") };
            var native = Path.Combine(Repository.Root, "artifacts", "native", "vmshunt-host");
            if (File.Exists(native)) servers.Add(native);
            return servers;
        }
    }

    [Theory]
    [MemberData(nameof(Servers))]
    public async Task What_VM_H_does_not_need_is_refused(string program)
    {
        var result = await ProbeAsync(program, "errors");
        Assert.True(result.ExitCode == 0, result.ErrorText);
        Assert.InRange(result.Output.Count, 25, 40);
        Assert.All(result.Output, static line => Assert.Matches("^probe [a-z-]+: errno (1|13)$", line));
    }

    [Theory]
    [InlineData("execve")]
    [InlineData("execveat")]
    [InlineData("ptrace")]
    [InlineData("mount")]
    [InlineData("bpf")]
    [InlineData("finit_module")]
    [InlineData("kexec_load")]
    public async Task What_only_an_attacker_does_kills_VM_H(string call)
    {
        var result = await ProbeAsync("vmshunt-host", call);
        Assert.Equal(KilledBySigsys, result.ExitCode);
        Assert.Empty(result.Output);
    }

    [Theory]
    [InlineData("--engine pread", "connect-unix", "errno 1")]
    [InlineData("--engine pread", "uring", "errno 1")]
    [InlineData("--engine uring", "uring", "allowed|errno 22")]
    public async Task What_an_option_needs_comes_with_it(string options, string probe, string answer)
    {
        var result = await ProbeAsync("vmshunt-host", probe, options.Split(' '));
        Assert.Matches($"^probe {probe}: ({answer})$", Assert.Single(result.Output));
    }

    [Fact]
    public async Task VM_H_has_no_capabilities_no_groups_and_no_way_to_new_privileges()
    {
        await using var host = await Programs.StartReadyAsync("vmshunt-host", "--disk", _folder.RandomFile("disk.img", 1 << 20), "--vhost-user", _folder["ring"], "--sandbox", "on");
        var status = File.ReadLines($"/proc/{host.Id}/status").ToList();
        Assert.Equal(5, status.Count(static line => line.StartsWith("Cap", StringComparison.Ordinal) && line.EndsWith("\t0000000000000000", StringComparison.Ordinal)));
        Assert.Contains("NoNewPrivs:\t1", status);
        Assert.Contains("Seccomp:\t2", status);
    }

    [Fact]
    public async Task A_guest_moves_to_the_ring_while_both_servers_are_confined()
    {
        string ring = _folder["ring"], trap = _folder["trap"], socket = _folder["hypervisor"];
        await using var host = await Programs.StartReadyAsync("vmshunt-host", "--disk", _folder.RandomFile("disk.img", 8 << 20), "--vhost-user", ring, "--vfio-user", trap, "--sandbox", "on");
        await using var hypervisor = await Programs.StartReadyAsync("vmshunt-hypervisor", "--socket", socket, "--device", $"disk0,vfio-user={trap},vhost-user={ring}", "--sandbox", "on");
        foreach (var mode in new[] { "emulating", "enlightened" })
        {
            var guest = await Programs.RunAsync("vmshunt-guest", "--hypervisor", socket, "--mode", mode, "hash");
            Assert.True(guest.ExitCode == 0, guest.ErrorText);
        }
    }

    [Fact]
    public async Task The_log_names_what_confines()
    {
        await using var host = await Programs.StartReadyAsync("vmshunt-host", "--disk", "memory:1M", "--vhost-user", _folder["ring"], "--sandbox", "on");
        await Until.TrueAsync(() => host.LastErrors.Any(static line => line.Contains("confined: Landlock version", StringComparison.Ordinal)), "VM-H says what confines it");
    }

    private Task<Programs.Result> ProbeAsync(string program, string probe, params IEnumerable<string> options) => Programs.RunAsync(
        program, ["--disk", _folder.RandomFile("disk.img", 1 << 20), "--vhost-user", _folder["ring"], "--sandbox", "on", "--sandbox-probe", probe, .. options]);
}
