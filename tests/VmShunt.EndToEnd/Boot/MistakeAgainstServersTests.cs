using VmShunt.EndToEnd.Processes;

namespace VmShunt.EndToEnd.Boot;

/// <summary>VM-H and a hypervisor that all tests of a class use: none of them may disturb the servers.</summary>
public sealed class RunningServers : IAsyncLifetime
{
    private readonly List<IAsyncDisposable> _servers = [];

    internal TestFolder Folder { get; } = new();

    public async Task InitializeAsync()
    {
        Mistake.MakeFiles(Folder);
        await StartAsync("vmshunt-host", "--disk {disk} --vhost-user {ring} --vfio-user {trap}");
        await StartAsync("vmshunt-hypervisor", "--socket {hypervisor} --device disk0,vhost-user={ring},vfio-user={trap}");
    }

    public async Task DisposeAsync()
    {
        _servers.Reverse();
        foreach (var server in _servers) await server.DisposeAsync();
        Folder.Dispose();
    }

    private async Task StartAsync(string program, string arguments) =>
        _servers.Add(await Programs.StartReadyAsync(program, Mistake.Fill(Folder, arguments).Split(' ')));
}

public sealed class MistakeAgainstServersTests(RunningServers servers) : IClassFixture<RunningServers>
{
    [Theory]
    [InlineData("vmshunt-host --disk memory:1M --vhost-user {ring}", "another process is listening there")]
    [InlineData("vmshunt-host --disk memory:1M --vfio-user {trap}", "another process is listening there")]
    [InlineData("vmshunt-hypervisor --socket {hypervisor} --device disk0,vfio-user={trap}", "another process is listening there")]
    [InlineData("vmshunt-hypervisor --socket {new} --device disk0,vfio-user={ring}", "{ring}")]
    [InlineData("vmshunt-guest --hypervisor {hypervisor} --memory 100 info", "100 is no multiple of")]
    [InlineData("vmshunt-guest --hypervisor {hypervisor} --memory 1000T info", "ask for less")]
    [InlineData("vmshunt-guest --hypervisor {hypervisor} --mode sideways info", "sideways")]
    [InlineData("vmshunt-guest --hypervisor {hypervisor} --colour red info", "--colour")]
    [InlineData("vmshunt-guest --hypervisor {hypervisor} read --count 1000000 --output /dev/null", "are not on the disk")]
    [InlineData("vmshunt-guest --hypervisor {hypervisor} crash", "no dump partition")]
    [InlineData("vmshunt-guest --hypervisor {ring} info", "{ring}")]
    [InlineData("vmshunt-guest --bus {trap} info", "")]
    public async Task A_mistake_against_running_servers_is_answered_and_does_not_disturb_them(string command, string said)
    {
        await Mistake.AssertRefusedAsync(servers.Folder, command, said);

        var guest = await Programs.RunAsync("vmshunt-guest", "--hypervisor", servers.Folder["hypervisor"], "info");
        Assert.True(guest.ExitCode == 0, guest.ErrorText);
        Assert.Contains("mode: enlightened", guest.Output);
    }
}
