using System.Net.Sockets;
using VmShunt.EndToEnd.Processes;
using VmShunt.Perf.Launch;

namespace VmShunt.EndToEnd.Boot;

/// <summary>The processes may be started in any order, and at once: each waits for the peer that it needs.</summary>
public sealed class StartTests(OwnDisk own) : IClassFixture<OwnDisk>, IDisposable
{
    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task The_guest_may_start_first_and_VM_H_last()
    {
        string ring = _folder["ring"], trap = _folder["trap"], socket = _folder["hypervisor"];
        await using var guest = Programs.Start("vmshunt-guest", "--hypervisor", socket, "--wait", "60", "--memory", "32M", "info");
        await using var hypervisor = Programs.Start("vmshunt-hypervisor", "--socket", socket, "--device", $"disk0,vhost-user={ring},vfio-user={trap}", "--wait", "60");
        await using var host = Programs.Start("vmshunt-host", "--disk", own.CopyTo(_folder), "--read-only", "--vhost-user", ring, "--vfio-user", trap);

        var ended = await Programs.WaitForEndAsync(guest);
        Assert.True(ended.ExitCode == 0, ended.ErrorText);
        Assert.Contains("mode: enlightened", ended.Output);
    }

    [Theory]
    [InlineData("vmshunt-hypervisor --socket {own} --device disk0,vfio-user={none} --wait 3600")]
    [InlineData("vmshunt-guest --bus {none} --wait 3600 info")]
    [InlineData("vmshunt-guest --hypervisor {none} --wait 3600 info")]
    [InlineData("vmshunt-host --disk memory:1M --vhost-user connect:{none}")]
    [InlineData("vmshunt-host --disk nbd+unix:///?socket={silent} --vhost-user {own}")]
    public async Task SIGTERM_ends_a_process_that_waits_for_its_peer(string command)
    {
        using var silent = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        silent.Bind(new UnixDomainSocketEndPoint(_folder["silent"]));
        silent.Listen();
        var words = command.Replace("{own}", _folder["own"], StringComparison.Ordinal).Replace("{none}", _folder["none"], StringComparison.Ordinal)
            .Replace("{silent}", _folder["silent"], StringComparison.Ordinal).Split(' ');
        await using var process = Programs.Start(words[0], words[1..]);
        await Until.TrueAsync(() => ProcessTable.IsAsleep(process.Id), "it waits");
        ProcessTable.Send(process.Id, Signal.Terminate);
        await Programs.WaitForEndAsync(process);
    }

    [Fact]
    public async Task A_guest_without_a_hypervisor_waits_for_its_back_end()
    {
        var ring = _folder["ring"];
        await using var guest = Programs.Start("vmshunt-guest", "--bus", ring, "--wait", "60", "info");
        await using var host = Programs.Start("vmshunt-host", "--disk", "memory:1M", "--vhost-user", ring);

        var ended = await Programs.WaitForEndAsync(guest);
        Assert.True(ended.ExitCode == 0, ended.ErrorText);
    }

    [Theory]
    [InlineData("vmshunt-guest --wait 0.2 --hypervisor {missing} info")]
    [InlineData("vmshunt-guest --wait 0.2 --bus {missing} info")]
    [InlineData("vmshunt-hypervisor --wait 0.2 --socket {missing}.own --device disk0,vfio-user={missing}")]
    public async Task A_peer_that_never_listens_is_named(string command)
    {
        var missing = _folder["missing"];
        var words = command.Replace("{missing}", missing, StringComparison.Ordinal).Split(' ');
        var ended = await Programs.RunAsync(words[0], words[1..]);
        Assert.Equal(1, ended.ExitCode);
        Assert.Contains($"cannot connect to {missing}: there is no such socket", ended.ErrorText, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_process_that_failed_to_start_is_named()
    {
        var disk = own.CopyTo(_folder);
        var refused = await Assert.ThrowsAsync<LaunchException>(() => RunningMachine.BootAsync(disk, readOnly: true, hostOptions: ["--queues", "0"]));
        Assert.Contains("vmshunt-host did not get ready; it said: vmshunt-host: --queues takes 1 to 64", refused.Message, StringComparison.Ordinal);
        refused = await Assert.ThrowsAsync<LaunchException>(() => RunningMachine.BootAsync(disk, readOnly: true, guestOptions: ["--queues", "0"]));
        Assert.Contains("vmshunt-guest did not get ready; it said: vmshunt-guest: --queues takes 1 to 16", refused.Message, StringComparison.Ordinal);
    }
}
