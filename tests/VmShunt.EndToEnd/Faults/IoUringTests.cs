using VmShunt.EndToEnd.Processes;

namespace VmShunt.EndToEnd.Faults;

/// <summary>A kernel, or a filter, that refuses io_uring or a part of it.</summary>
public sealed class IoUringTests : IDisposable
{
    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [SystemCallTheory]
    [InlineData("io_uring_setup")]
    [InlineData("io_uring_register")]
    [InlineData("io_uring_enter")]
    public async Task An_engine_that_is_asked_for_by_name_is_used_or_refused(string call)
    {
        var disk = _folder.RandomFile("disk.img", 1 << 20);
        var refused = await RunWithoutAsync(call, "--disk", disk, "--vhost-user", _folder["ring"], "--engine", "uring");
        Assert.Equal(1, refused.ExitCode);
        Assert.Contains("cannot be opened with --engine uring: io_uring is not available to this process", refused.ErrorText, StringComparison.Ordinal);
    }

    [SystemCallFact]
    public async Task Without_io_uring_the_automatic_engine_says_what_it_uses_instead()
    {
        var disk = _folder.RandomFile("disk.img", 1 << 20);
        await using var host = await Programs.ReadyAsync(StartWithout("io_uring_enter", "--disk", disk, "--vhost-user", _folder["ring"], "--cache", "direct"));
        await Until.TrueAsync(() => host.LastErrors.Any(static line => line.Contains("engine pread, because io_uring is not available", StringComparison.Ordinal)), "VM-H logs its engine");
        var guest = await Programs.RunAsync("vmshunt-guest", "--bus", _folder["ring"], "hash");
        Assert.Equal(0, guest.ExitCode);
    }

    private Perf.Launch.ChildProcess StartWithout(string call, params string[] arguments) => Programs.Start(
        Installed.Require("strace"), ["-f", "-q", "-o", _folder["calls"], "-e", $"trace={call}", "-e", $"inject={call}:error=EPERM", Perf.Launch.OwnPrograms.Find("vmshunt-host"), .. arguments]);

    private async Task<Programs.Result> RunWithoutAsync(string call, params string[] arguments)
    {
        await using var host = StartWithout(call, arguments);
        return await Programs.WaitForEndAsync(host);
    }
}
