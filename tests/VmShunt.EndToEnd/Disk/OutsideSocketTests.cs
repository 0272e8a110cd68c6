using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using VmShunt.EndToEnd.Processes;
using VmShunt.EndToEnd.Qemu;
using VmShunt.Perf.Launch;

namespace VmShunt.EndToEnd.Disk;

/// <summary>VM-H as a service manager, a management layer and QEMU start it.</summary>
public sealed class OutsideSocketTests : IDisposable
{
    // As systemd starts a service with sockets: they are open from descriptor 3 on, and the variables are for this process.
    private const string PassSocket = """
        $^F = 255; my $path = shift;
        my $socket = IO::Socket::UNIX->new(Local => $path, Listen => 8) or die $!;
        fileno($socket) == 3 or die 'the socket is not descriptor 3';
        $ENV{LISTEN_PID} = $$; $ENV{LISTEN_FDS} = 1; $ENV{LISTEN_FDNAMES} = 'ring';
        exec @ARGV or die $!;
        """;

    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [TheoryIfInstalled("perl")]
    [InlineData("--vhost-user", "fd:ring")]
    [InlineData("--vhost-user", "fd:3")]
    [InlineData("--fd", "3")]
    public async Task A_service_manager_passes_the_socket_and_is_told_the_state(string option, string value)
    {
        string disk = _folder.RandomFile("disk.img", 1 << 20), ring = _folder["ring"], pid = _folder["pid"];
        using var states = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
        states.Bind(new UnixDomainSocketEndPoint(_folder["notify"]));
        states.ReceiveTimeout = (int)Until.Patience.TotalMilliseconds;
        await using var host = await Programs.ReadyAsync(Programs.Start(
            "/usr/bin/env", $"NOTIFY_SOCKET={_folder["notify"]}", Installed.Require("perl"), "-MIO::Socket::UNIX", "-e", PassSocket, ring,
            OwnPrograms.Find("vmshunt-host"), "--blk-file", disk, option, value, "--pid-file", pid));
        Assert.Equal("READY=1", Receive());
        Assert.Equal($"{host.Id}\n", File.ReadAllText(pid));
        for (var guest = 0; guest < 2; guest++) Assert.Equal(0, (await Programs.RunAsync("vmshunt-guest", "--bus", ring, "--memory", "32M", "info")).ExitCode);
        Signal.RequestEnd(host.Id);
        Assert.Equal(0, (await Programs.WaitForEndAsync(host)).ExitCode);
        Assert.Equal("STOPPING=1", Receive());
        Assert.False(File.Exists(pid));
        // The socket is the service manager's.
        Assert.True(File.Exists(ring));

        string Receive()
        {
            var buffer = new byte[64];
            return Encoding.UTF8.GetString(buffer, 0, states.Receive(buffer));
        }
    }

    [LinuxGuestTheory]
    [QemuData(QemuDataAttribute.Machine)]
    [QemuData(QemuDataAttribute.Sid)]
    public async Task QEMU_listens_and_VM_H_connects_as_often_as_it_is_started(string qemu)
    {
        string disk = _folder.RandomFile("disk.img", 8 << 20), socket = _folder["qemu"];
        string[] arguments = ["--disk", disk, "--vhost-user", $"connect:{socket}"];
        await using var first = await Programs.StartReadyAsync("vmshunt-host", arguments);
        await Until.TrueAsync(() => first.LastErrors.Any(line => line.Contains($"-chardev socket,path={socket},server=on", StringComparison.Ordinal)), "VM-H logs that it waits for QEMU");
        await using var guest = await QemuGuest.BootLinuxOnAsync(QemuProgram.Of(qemu), 1, QemuGuest.Disk(socket, packed: true, reconnect: ",server=on,wait=on"));
        var hash = await guest.RunAsync("sha256sum /dev/vda");
        Signal.RequestEnd(first.Id);
        await Programs.WaitForEndAsync(first);
        await using var second = await Programs.StartReadyAsync("vmshunt-host", arguments);
        await guest.RunAsync("echo 3 > /proc/sys/vm/drop_caches");
        Assert.Equal(hash, await guest.RunAsync("sha256sum /dev/vda"));
    }

    [Theory]
    [InlineData("--print-capabilities")]
    [InlineData("--print-capabilities --colour red")]
    [InlineData("--blk-file=none --print-capabilities")]
    public async Task A_management_layer_learns_what_VM_H_can_do(string arguments)
    {
        var result = await Programs.RunAsync("vmshunt-host", arguments.Split(' '));
        Assert.Equal((0, ""), (result.ExitCode, result.ErrorText));
        var answer = JsonDocument.Parse(string.Concat(result.Output)).RootElement;
        Assert.Equal("block", answer.GetProperty("type").GetString());
        Assert.Equal(["read-only", "blk-file"], answer.GetProperty("features").EnumerateArray().Select(static feature => feature.GetString()!));
    }
}
