using VmShunt.EndToEnd.Processes;
using VmShunt.Perf.Disks;
using VmShunt.Perf.Launch;
using Xunit.Abstractions;

namespace VmShunt.EndToEnd.Disk;

/// <summary>VM-H with a disk on an NBD server: qemu-storage-daemon and nbdkit.</summary>
public sealed class NbdTests(OwnDisk own, ITestOutputHelper output) : IClassFixture<OwnDisk>, IDisposable
{
    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [FactIfInstalled("qemu-storage-daemon")]
    public async Task A_disk_behind_qemu_storage_daemon_boots_a_guest_and_serves_every_request_by_both_paths()
    {
        var disk = own.CopyTo(_folder);
        await using var server = await StartDaemonAsync(disk);
        await using (var machine = await RunningMachine.BootAsync(Address("disk")))
        {
            var data = await machine.DataAsync();
            var model = File.ReadAllBytes(disk);
            foreach (var mode in (string[])["emulating", "enlightened"])
            {
                await machine.ModeAsync(mode);
                var script = RequestScript.Make(model, Random.Shared.Next(), requests: 200, isReadOnly: false);
                File.WriteAllLines(_folder["script"], script.Lines);
                await machine.AskAsync($"replay --stack emulating --script {_folder["script"]} --transcript {_folder["transcript"]}");
                Assert.Equal(script.Expected, File.ReadAllLines(_folder["transcript"]));
            }
            await machine.AskAsync($"load start --stack emulating --depth 32 --write --first-sector {data.First} --sectors {data.Count}");
            await machine.LoadGoesOnAsync();
            var load = await machine.AskAsync("load stop", GuestAnswersJson.Default.LoadAnswer);
            Assert.Equal((0, 0, 0, 0), (load.Failed, load.Lost, load.Repeated, load.Mismatched));
            await machine.AskAsync("flush");
            var hash = await machine.AskAsync("hash", GuestAnswersJson.Default.HashAnswer);
            Assert.Equal(await FileHash.OfAsync(disk, default), hash.Sha256);
        }
    }

    [FactIfInstalled("qemu-storage-daemon")]
    public async Task An_NBD_server_that_is_killed_and_restarted_under_load_loses_no_request()
    {
        var disk = own.CopyTo(_folder);
        var server = await StartDaemonAsync(disk);
        try
        {
            await using var machine = await RunningMachine.BootAsync(Address("disk"));
            var data = await machine.DataAsync();
            await machine.ModeAsync("enlightened");
            await machine.AskAsync($"load start --stack emulating --depth 32 --write --first-sector {data.First} --sectors {data.Count}");
            for (var round = 0; round < 5; round++)
            {
                await machine.LoadGoesOnAsync(200);
                ProcessTable.Send(server.Id, ProcessTable.SIGKILL);
                await server.DisposeAsync();
                server = await StartDaemonAsync(disk);
            }
            await machine.LoadGoesOnAsync(200);
            var load = await machine.AskAsync("load stop", GuestAnswersJson.Default.LoadAnswer);
            output.WriteLine(load.ToString());
            Assert.Equal((0, 0, 0, 0), (load.Failed, load.Lost, load.Repeated, load.Mismatched));
            Assert.Contains(machine.Host.LastErrors, static line => line.Contains("reconnected to the server; requests resume", StringComparison.Ordinal));
            // Writes that were not flushed may be lost with a server: flushes fail until a driver resets its device.
            for (var i = 0; i < 2; i++) Assert.Contains("Flush", await machine.RefusalAsync("flush"), StringComparison.Ordinal);
            var guest = machine.Guest;
            await machine.AskAsync("quit");
            await Programs.WaitForEndAsync(guest);
            await machine.StartGuestAsync();
            await machine.ModeAsync("enlightened");
            await machine.AskAsync("flush");
        }
        finally
        {
            await server.DisposeAsync();
        }
    }

    [FactIfInstalled("nbdkit")]
    public async Task Exports_of_nbdkit_are_read_over_TCP_with_their_size_and_read_only_flag()
    {
        await using var served = await BootOnPatternAsync();
        var machine = served.Machine;
        var info = await machine.AskAsync("info");
        Assert.Equal(16 << 20, info.GetProperty("disk").GetProperty("bytes").GetInt64());
        // The pattern: each eight bytes hold their own offset, big-endian.
        await machine.ModeAsync("enlightened");
        await machine.AskAsync($"read --sector 7 --count 9 --output {_folder["read"]}");
        var bytes = File.ReadAllBytes(_folder["read"]);
        for (var at = 0; at < bytes.Length; at += 8) Assert.Equal(7 * 512 + at, System.Buffers.Binary.BinaryPrimitives.ReadInt64BigEndian(bytes.AsSpan(at)));
        Assert.Contains("IoError", await machine.RefusalAsync("fill --sector 0 --count 1"), StringComparison.Ordinal);
    }

    [FactIfInstalled("nbdkit")]
    public async Task An_export_that_requires_TLS_is_served_to_a_guest_and_both_ends_prove_who_they_are()
    {
        using var authority = new TestAuthority("trusted");
        using var stranger = new TestAuthority("stranger");
        authority.WriteServer(Directory.CreateDirectory(_folder["server"]).FullName);
        authority.WriteClient(Directory.CreateDirectory(_folder["client"]).FullName);
        stranger.WriteClient(Directory.CreateDirectory(_folder["stranger"]).FullName);
        await using var server = Programs.Start(
            Installed.Require("nbdkit"), "-f", "--tls=require", $"--tls-certificates={_folder["server"]}", "--tls-verify-peer", "-U", _folder["nbd"], "pattern", "16M");
        await Until.TrueAsync(() => UnixSocket.IsListening(_folder["nbd"]), "nbdkit listens");
        var address = $"nbds+unix:///?socket={_folder["nbd"]}&tls-certificates=";
        foreach (var (disk, why) in new[]
        {
            ($"nbd+unix:///?socket={_folder["nbd"]}", "requires TLS: use nbds instead of nbd"),
            (address + _folder["stranger"], "cannot be encrypted"),
            (address + _folder["none"], "cannot be encrypted: Could not find"),
        })
        {
            var refused = await Programs.RunAsync("vmshunt-host", "--disk", disk, "--vhost-user", _folder["ring"]);
            Assert.Equal(1, refused.ExitCode);
            Assert.Contains(why, refused.ErrorText, StringComparison.Ordinal);
        }
        await using var machine = await RunningMachine.BootAsync(address + _folder["client"]);
        Assert.Contains(machine.Host.LastErrors, static line => line.Contains("on one encrypted connection", StringComparison.Ordinal));
        await machine.ModeAsync("enlightened");
        await machine.AskAsync($"read --sector 7 --count 9 --output {_folder["read"]}");
        var bytes = File.ReadAllBytes(_folder["read"]);
        for (var at = 0; at < bytes.Length; at += 8) Assert.Equal(7 * 512 + at, System.Buffers.Binary.BinaryPrimitives.ReadInt64BigEndian(bytes.AsSpan(at)));
    }

    [Theory]
    [InlineData("nbd+unix:///disk?socket=/nowhere/at/all", "cannot be used")]
    [InlineData("nbd://", "is expected")]
    [InlineData("nbd+unix:///disk", "nbd+unix:///EXPORT?socket=PATH is expected")]
    public async Task An_NBD_address_that_cannot_be_used_is_refused_with_a_reason(string disk, string why)
    {
        var ended = await Programs.RunAsync("vmshunt-host", "--disk", disk, "--vhost-user", _folder["ring"]);
        Assert.Equal(1, ended.ExitCode);
        Assert.Contains(why, ended.ErrorText, StringComparison.Ordinal);
    }

    private string Address(string export) => $"nbd+unix:///{export}?socket={_folder["nbd"]}";

    private async Task<ChildProcess> StartDaemonAsync(string disk)
    {
        File.Delete(_folder["nbd"]);
        var server = Programs.Start(
            Installed.Require("qemu-storage-daemon"),
            "--blockdev", $"driver=file,node-name=disk,filename={disk},discard=unmap",
            "--nbd-server", $"addr.type=unix,addr.path={_folder["nbd"]}",
            "--export", "type=nbd,id=export,node-name=disk,name=disk,writable=on");
        await Until.TrueAsync(() => UnixSocket.IsListening(_folder["nbd"]), "qemu-storage-daemon listens");
        return server;
    }

    // nbdkit exits with 0 only when a signal tells it to (SIGTERM, SIGINT, SIGHUP, SIGQUIT). In CI something else on the
    // machine did so twice; strace reports the sender, and the test starts nbdkit again.
    private async Task<PatternMachine> BootOnPatternAsync()
    {
        for (var tries = 1; ; tries++)
        {
            var log = _folder[$"signals {tries}"];
            var (server, port) = await TcpServer.StartAsync(
                port =>
                {
                    string[] nbdkit = [Installed.Require("nbdkit"), "-f", "-r", "-i", "127.0.0.1", "-p", $"{port}", "pattern", "16M"];
                    return Strace.Refusal is null
                        ? Programs.Start(Installed.Require("strace"), ["-D", "-f", "-q", "-o", log, "-e", "trace=none", .. nbdkit])
                        : Programs.Start(nbdkit[0], nbdkit[1..]);
                },
                [],
                greeting: 'N');
            try
            {
                return new PatternMachine(server, await RunningMachine.BootAsync($"nbd://127.0.0.1:{port}/"));
            }
            catch (LaunchException e)
            {
                var state = server.Ended.IsCompleted ? $"exited with code {server.ExitCode}" : "is still running";
                var report = $"{e.Message}; nbdkit {state} and said: {string.Join('\n', server.LastErrors)}\n{(File.Exists(log) ? File.ReadAllText(log) : Strace.Refusal)}";
                var wasSignalled = server.Ended.IsCompleted && server.ExitCode == 0;
                await server.DisposeAsync();
                if (!wasSignalled || tries == 3) throw new InvalidOperationException(report, e);
                output.WriteLine(report);
            }
        }
    }

    private sealed record PatternMachine(ChildProcess Server, RunningMachine Machine) : IAsyncDisposable
    {
        public async ValueTask DisposeAsync()
        {
            await Machine.DisposeAsync();
            await Server.DisposeAsync();
        }
    }
}
