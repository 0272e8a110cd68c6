using VmShunt.EndToEnd.Processes;
using VmShunt.Perf.Launch;

namespace VmShunt.EndToEnd.Packaging;

/// <summary>
/// The systemd units of the package, without a running systemd (<see cref="SystemdTests"/> has one): systemd's own check of the
/// units, and their commands exactly as written, in a root without .NET.
/// </summary>
public sealed class SystemdUnitTests(DebianPackage package) : IClassFixture<DebianPackage>
{
    private const string Instance = "disk0", Analyze = "systemd-analyze";
    private const int DiskBytes = 8 << 20;

    [FactIfPackaged]
    public async Task Services_run_as_their_units_say_on_the_disk_of_the_example_configuration()
    {
        Directory.CreateDirectory(package["etc/vmshunt"]);
        File.Copy(package["usr/share/doc/vmshunt/examples/disk0.conf"], package[$"etc/vmshunt/{Instance}.conf"]);
        Directory.CreateDirectory(package["var/lib/vmshunt"]);
        var disk = package["var/lib/vmshunt/disk0.img"];
        await File.WriteAllBytesAsync(disk, new byte[DiskBytes]);
        var hostUnit = SystemdUnit.Read(package, "vmshunt-host", Instance);
        var command = hostUnit.Command();
        Assert.Equal(["--queues", "4"], command.TakeLast(2));
        Assert.DoesNotContain(command, static word => word.Contains('$', StringComparison.Ordinal) || word.Contains('%', StringComparison.Ordinal));

        await using var host = await hostUnit.StartAsync();
        Assert.Equal("1", Status(host, "NoNewPrivs"));
        // The group may connect, others may not.
        Assert.Equal(["770"], await DebianPackage.SucceedAsync(Installed.Require("stat"), "--format=%a", package[$"run/vmshunt/{Instance}/ring.sock"]));
        // Nothing is lost in the sandbox: reads are copied from the page cache.
        await Until.TrueAsync(() => host.LastErrors.Any(static line => line.Contains("engine mmap, guarded copy", StringComparison.Ordinal)), "VM-H logs its engine");

        await using var hypervisor = await SystemdUnit.Read(package, "vmshunt-hypervisor", Instance).StartAsync();
        Assert.Equal("1", Status(hypervisor, "NoNewPrivs"));
        await AssertDiskAsync(DiskBytes);

        // systemctl reload, after the disk grew.
        Assert.Equal("/bin/kill -HUP $MAINPID", hostUnit["ExecReload"]);
        await DebianPackage.SucceedAsync(Installed.Require("truncate"), "--size", $"{2 * DiskBytes}", disk);
        ProcessTable.Send(host.Id, Signal.HangUp);
        await Until.TrueAsync(() => host.LastErrors.Any(static line => line.Contains("the capacity changed from 16384 to 32768 sectors", StringComparison.Ordinal)), "VM-H notices the new size");
        await AssertDiskAsync(2 * DiskBytes);

        // systemctl stop: no failure, which would restart it.
        foreach (var service in new[] { hypervisor, host })
        {
            ProcessTable.Send(service.Id, Signal.Terminate);
            Assert.Equal(0, (await Programs.WaitForEndAsync(service)).ExitCode);
        }
    }

    [FactIfPackaged(Analyze)]
    public async Task Systemd_knows_every_setting_and_finds_what_the_units_name()
    {
        // Of the rest of a system there are names only.
        foreach (var target in new[] { "sysinit.target", "basic.target", "shutdown.target", "network-online.target", "multi-user.target" })
            File.WriteAllText(package[$"usr/lib/systemd/system/{target}"], "[Unit]\n");
        Directory.CreateDirectory(package["bin"]);
        File.WriteAllText(package["bin/kill"], "");
        await DebianPackage.SucceedAsync(Installed.Require("chmod"), "+x", package["bin/kill"]);
        foreach (var unit in new[] { "vmshunt-host", "vmshunt-hypervisor" })
        {
            var result = await Programs.RunAsync(Installed.Require(Analyze), "--man=no", $"--root={package[""].TrimEnd('/')}", "verify", $"{unit}@{Instance}.service");
            Assert.Equal([], [.. result.Output, .. result.Errors]);
            Assert.Equal(0, result.ExitCode);
        }
    }

    private static string Status(ChildProcess process, string field) =>
        File.ReadLines($"/proc/{process.Id}/status").Single(line => line.StartsWith($"{field}:", StringComparison.Ordinal)).Split('\t')[1];

    private async Task AssertDiskAsync(long bytes)
    {
        foreach (var mode in new[] { "emulating", "enlightened" })
        {
            var info = await DebianPackage.SucceedAsync("vmshunt-guest", "--hypervisor", package[$"run/vmshunt-hypervisor/{Instance}/hypervisor.sock"], "--memory", "32M", "--mode", mode, "--json", "info");
            Assert.Contains($"\"bytes\":{bytes},", Assert.Single(info), StringComparison.Ordinal);
        }
    }
}
