using VmShunt.EndToEnd.Processes;
using VmShunt.Perf.Launch;

namespace VmShunt.EndToEnd.Faults;

/// <summary>Programs whose standard error is a pipe that is full and has no reader: the log loses lines, and nothing else.</summary>
public sealed class UnreadLogTests : IDisposable
{
    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("text")]
    [InlineData("json")]
    public async Task Sessions_are_served_and_SIGTERM_ends_VM_H(string form)
    {
        string ring = _folder["ring"], trap = _folder["trap"];
        await using var host = await StartReadyAsync("vmshunt-host", "--disk", "memory:1M", "--vhost-user", ring, "--vfio-user", trap, "--log", form);
        await using var hypervisor = await StartReadyAsync("vmshunt-hypervisor", "--socket", _folder["hypervisor"], "--device", $"disk0,vhost-user={ring},vfio-user={trap}", "--log", form);
        // Each session writes lines; together they are more than the queue of the log holds.
        for (var i = 0; i < 3; i++)
        {
            await using var guest = await Programs.StartReadyAsync("vmshunt-guest", "--hypervisor", _folder["hypervisor"], "--memory", "32M", "console");
            await new GuestConsole(guest).AskAsync("hash", Programs.AnyAnswer, Until.Patience, default);
        }
        foreach (var process in new[] { hypervisor, host })
        {
            ProcessTable.Send(process.Id, Signal.Terminate);
            Assert.Equal(0, (await Programs.WaitForEndAsync(process)).ExitCode);
        }
    }

    [Fact]
    public async Task A_program_that_cannot_say_what_is_wrong_ends_all_the_same()
    {
        await using var host = Start("vmshunt-host", "--disk", _folder["none"], "--vhost-user", _folder["ring"]);
        Assert.Equal(1, (await Programs.WaitForEndAsync(host)).ExitCode);
    }

    [Fact]
    public async Task VM_H_without_standard_output_serves_its_disk()
    {
        var ring = _folder["ring"];
        await using var host = Programs.Start(Installed.Require("sh"), "-c", "exec \"$0\" \"$@\" >&-", OwnPrograms.Find("vmshunt-host"), "--disk", "memory:1M", "--vhost-user", ring);
        await using var guest = await Programs.StartReadyAsync("vmshunt-guest", "--bus", ring, "--wait", "60", "--memory", "32M", "console");
        await new GuestConsole(guest).AskAsync("hash", Programs.AnyAnswer, Until.Patience, default);
        Assert.Contains(host.LastErrors, static line => line.Contains("ready, but standard output cannot be written", StringComparison.Ordinal));
    }

    private Task<ChildProcess> StartReadyAsync(string program, params string[] arguments) => Programs.ReadyAsync(Start(program, arguments));

    // The pipe is open at its other end, too, so that a write waits instead of failing.
    private ChildProcess Start(string program, params string[] arguments) => Programs.Start(
        Installed.Require("sh"),
        ["-c", "p=$1; shift; mkfifo \"$p\" && exec 9<>\"$p\" && head -c 65536 /dev/zero >\"$p\" && exec \"$@\" 2>\"$p\"", "sh", _folder[$"{program}.fifo"], OwnPrograms.Find(program), .. arguments]);
}
