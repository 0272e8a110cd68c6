using System.Net.Sockets;
using VmShunt.EndToEnd.Processes;

namespace VmShunt.EndToEnd.Boot;

public sealed class BadUseTests : IAsyncLifetime, IDisposable
{
    private readonly TestFolder _folder = new();
    private readonly List<IAsyncDisposable> _running = [];

    public Task InitializeAsync() => Task.CompletedTask;

    public async Task DisposeAsync()
    {
        _running.Reverse();
        foreach (var process in _running) await process.DisposeAsync();
    }

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("vmshunt-host --disk {none} --vhost-user {new}", "cannot open the disk {none}")]
    [InlineData("vmshunt-host --disk {empty} --vhost-user {new}", "holds 0 bytes")]
    [InlineData("vmshunt-host --disk {folder} --vhost-user {new}", "is a directory")]
    [InlineData("vmshunt-host --disk memory:lots --vhost-user {new}", "a size such as 64M is expected")]
    [InlineData("vmshunt-host --disk memory:9223372036854775807 --vhost-user {new}", "a size such as 64M is expected after memory:, at most 131072T")]
    [InlineData("vmshunt-host --disk memory:100T --read-only --vhost-user {new}", "--read-only applies to disks that have content")]
    [InlineData("vmshunt-host --disk memory:131072T --vhost-user {new}", "reserving 144,115,188,075,855,872 bytes")]
    [InlineData("vmshunt-host --disk nbd://127.0.0.1:1/x --vhost-user {new}", "Connection refused")]
    [InlineData("vmshunt-host --disk nbds://host?tls-verify-peer=maybe --vhost-user {new}", "tls-verify-peer takes true or false")]
    [InlineData("vmshunt-host --disk {disk} --vhost-user {new} --linger 1,5", "--linger takes a number such as 1.5; '1,5' is none")]
    [InlineData("vmshunt-host --disk {disk} --vhost-user {new} --linger inf", "'inf' is none")]
    [InlineData("vmshunt-host --disk {disk} --vhost-user {new} --queues two", "--queues takes a whole number; 'two' is none")]
    [InlineData("vmshunt-host --disk {disk} --vhost-user {new} --poll 1", "--poll takes")]
    [InlineData("vmshunt-host --disk {disk} --vhost-user {new} --log loud", "loud")]
    [InlineData("vmshunt-hypervisor --socket {new} --device d,vfio-user=x --patience 10s", "--patience takes a number such as 1.5; '10s' is none")]
    [InlineData("vmshunt-guest --bus {none} --memory 64T info", "{none}")]
    [InlineData("vmshunt-guest --bus {none} read --sector 0 --count 0x10 --output x", "--count takes a whole number; '0x10' is none")]
    [InlineData("vmshunt-perf launch --json {none}/x.json", "the result cannot be written to {none}/x.json")]
    [InlineData("vmshunt-perf compare --rows memory-1 --markdown {folder}", "the result cannot be written to {folder}: it is a folder")]
    [InlineData("vmshunt-host --disk {disk}", "name at least one socket")]
    [InlineData("vmshunt-host --vhost-user {new}", "--disk")]
    [InlineData("vmshunt-host --disk {disk} --vhost-user {file}", "cannot listen on {file}: a file of that name exists")]
    [InlineData("vmshunt-host --disk {disk} --vfio-user {empty}", "cannot listen on {empty}: a file of that name exists")]
    [InlineData("vmshunt-host --disk {disk} --vhost-user {none}/socket", "cannot listen on {none}/socket")]
    [InlineData("vmshunt-host --disk {disk} --vhost-user {new} --colour red", "--colour")]
    [InlineData("vmshunt-host --disk {disk} --vhost-user {new} --queues 0", "--queues takes 1 to 64")]
    [InlineData("vmshunt-host --disk {disk} --vhost-user {new} --block-size 4096", "use --logical-block-size 512|4096 and --physical-block-size")]
    [InlineData("vmshunt-host --disk {disk} --vhost-user {new} --logical-block-size 4096 --physical-block-size 512", "--physical-block-size takes a power of two from --logical-block-size")]
    [InlineData("vmshunt-host --disk {disk} --vhost-user {new} --seg-max 511", "--seg-max takes 1 to 510")]
    [InlineData("vmshunt-host --disk {disk} --vhost-user fd:900", "fd:900: descriptor 900 is not open")]
    [InlineData("vmshunt-host --disk {disk} --vhost-user {new} --fd 900", "give one of the two")]
    [InlineData("vmshunt-host --disk {disk} --vhost-user fd:ring", "FileDescriptorName=ring")]
    [InlineData("vmshunt-host --disk {disk} --vhost-user {new} --pid-file {none}/pid", "cannot write --pid-file {none}/pid")]
    [InlineData("vmshunt-hypervisor --socket {new} --device disk0,vfio-user={none}", "start vmshunt-host with --vfio-user {none} first")]
    [InlineData("vmshunt-hypervisor --socket {new} --device disk0,vfio-user={file}", "{file}")]
    [InlineData("vmshunt-hypervisor --socket {new} --colour red --device disk0,vfio-user={none}", "--colour")]
    [InlineData("vmshunt-hypervisor --socket {new}", "--device")]
    [InlineData("vmshunt-hypervisor --socket {new} --wait -1 --device disk0,vfio-user={none}", "--wait takes 0 to 3600 seconds")]
    [InlineData("vmshunt-guest info", "name either a hypervisor to run on (--hypervisor SOCKET) or a back-end")]
    [InlineData("vmshunt-guest --hypervisor {none} --bus {none} info", "{none}")]
    [InlineData("vmshunt-guest --hypervisor {none} info", "{none}")]
    [InlineData("vmshunt-guest --hypervisor {file} info", "{file}")]
    [InlineData("vmshunt-guest --hypervisor {none} --wait lots info", "--wait lots: 0 to 3600 seconds are expected")]
    [InlineData("vmshunt-guest --bus {none} --wait -1 info", "--wait takes 0 to 3600 seconds")]
    [InlineData("vmshunt-guest --bus {none} info", "{none}")]
    [InlineData("vmshunt-guest --bus {none} --colour red info", "--colour")]
    [InlineData("vmshunt-guest --bus {none} --mode sideways info", "sideways")]
    [InlineData("vmshunt-guest --bus {none} --memory lots info", "--memory")]
    [InlineData("vmshunt-guest --bus {none} dance", "dance")]
    [InlineData("vmshunt-perf launch --disk {none}", "the disk {none} cannot be opened")]
    [InlineData("vmshunt-perf launch --disk {empty}", "the disk {empty} has 0 bytes")]
    [InlineData("vmshunt-perf launch --colour red", "--colour")]
    [InlineData("vmshunt-perf launch --memory 100", "--memory 100")]
    [InlineData("vmshunt-perf launch --disk {disk} --memory 100000G", "ask for less")]
    public Task A_mistake_is_answered_with_one_clear_line(string command, string said) => Mistake.AssertRefusedAsync(_folder, command, said);

    [Fact]
    public async Task A_second_writer_of_a_disk_is_refused_with_the_process_that_holds_it()
    {
        var disk = _folder.RandomFile("disk.img", 1 << 20);
        var writer = await Programs.StartReadyAsync("vmshunt-host", "--disk", disk, "--vhost-user", _folder["ring"]);
        foreach (var further in new[] { "--read-only", "--queues=1" })
        {
            var refused = await Programs.RunAsync("vmshunt-host", "--disk", disk, "--vhost-user", _folder["second"], further);
            Assert.Equal(1, refused.ExitCode);
            Assert.Contains($"by process {writer.Id} (vmshunt-host)", refused.ErrorText, StringComparison.Ordinal);
        }

        // The kernel drops the lock of a killed process; readers share the disk.
        ProcessTable.Send(writer.Id, 9);
        await writer.Ended;
        await writer.DisposeAsync();
        foreach (var socket in new[] { "ring", "second" })
            _running.Add(await Programs.StartReadyAsync("vmshunt-host", "--disk", disk, "--read-only", "--vhost-user", _folder[socket]));
        Assert.Equal(1, (await Programs.RunAsync("vmshunt-host", "--disk", disk, "--vhost-user", _folder["third"])).ExitCode);
    }

    [Fact]
    public async Task A_socket_left_by_a_process_that_exited_is_reused()
    {
        using (var left = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified)) left.Bind(new UnixDomainSocketEndPoint(_folder["left"]));
        _running.Add(await Programs.StartReadyAsync("vmshunt-host", "--disk", "memory:1M", "--vhost-user", _folder["left"]));
        var guest = await Programs.RunAsync("vmshunt-guest", "--bus", _folder["left"], "info");
        Assert.True(guest.ExitCode == 0, guest.ErrorText);
    }
}
