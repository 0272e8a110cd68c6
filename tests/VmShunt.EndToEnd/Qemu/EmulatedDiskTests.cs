using VmShunt.EndToEnd.Processes;
using VmShunt.Perf.Disks;
using VmShunt.Perf.Launch;

namespace VmShunt.EndToEnd.Qemu;

/// <summary>Linux's <c>ahci</c> driver in QEMU from sid, on VM-H's emulated controller.</summary>
public sealed class EmulatedDiskTests : IDisposable
{
    private const int DiskBytes = 16 << 20;

    // What the firmware says when it finds no disk to boot from.
    private const string Firmware = "No bootable device";

    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [QemuSidFact]
    public async Task A_guest_with_an_IOMMU_keeps_its_disk_over_reboots()
    {
        string disk = _folder.RandomFile("disk.img", DiskBytes), trap = _folder["trap"];
        await using var host = await Programs.StartReadyAsync("vmshunt-host", "--disk", disk, "--vfio-user", trap);
        var hash = await FileHash.OfAsync(disk, default);
        await using var guest = await QemuGuest.BootLinuxWithAsync(
            "intel_iommu=on,strict iommu.passthrough=0", QemuProgram.Sid, 1, ["-device", "intel-iommu,caching-mode=on", .. QemuGuest.EmulatedDisk(trap)]);
        for (var boot = 0; boot < 3; boot++)
        {
            if (boot > 0) await guest.RebootAsync();
            Assert.NotEqual("", await guest.RunAsync("ls /sys/class/iommu"));
            Assert.Equal(hash, (await guest.RunAsync("sha256sum /dev/sda")).Split(' ')[0]);
            await guest.RunAsync("dd if=/dev/sda of=/tmp-copy bs=64k count=16 && dd if=/tmp-copy of=/dev/sda bs=64k count=16 conv=fsync");
        }
        Assert.Equal(hash, await FileHash.OfAsync(disk, default));
        Assert.Empty(guest.LastErrors);
    }

    // QEMU gives a device up that does not answer for 5 s.
    [QemuSidFact]
    public async Task A_guest_that_is_reset_while_its_disk_stalls_has_its_disk_afterwards()
    {
        var trap = _folder["trap"];
        var (server, port) = await TcpServer.StartAsync(
            static port => Programs.Start(Installed.Require("nbdkit"), "-f", "-i", "127.0.0.1", "-p", $"{port}", "pattern", "16M"), [], greeting: 'N');
        await using var stopsWithTheTest = server;
        await using var host = await Programs.StartReadyAsync("vmshunt-host", "--disk", $"nbd://127.0.0.1:{port}/", "--vfio-user", trap);
        await using var guest = await QemuGuest.BootLinuxOnAsync(QemuProgram.Sid, 1, [.. QemuMonitor.Options(_folder["monitor"]), .. QemuGuest.EmulatedDisk(trap)]);
        using var monitor = await QemuMonitor.ConnectAsync(_folder["monitor"]);
        var hash = await guest.RunAsync("sha256sum /dev/sda");
        ProcessTable.Send(server.Id, Signal.Stop);
        await guest.RunAsync("dd if=/dev/sda of=/dev/null bs=4k count=1 skip=1000 iflag=direct & sleep 1");
        await monitor.ExecuteAsync("system_reset");
        await Task.Delay(TimeSpan.FromSeconds(8));
        ProcessTable.Send(server.Id, Signal.Continue);
        await guest.WaitForAsync("GUEST-READY");
        Assert.Equal(hash, await guest.RunAsync("sha256sum /dev/sda"));
        Assert.Empty(guest.LastErrors);
    }

    [QemuSidFact]
    public async Task A_guest_that_shares_no_memory_finds_no_disk_and_VM_H_says_why()
    {
        string disk = _folder.RandomFile("disk.img", DiskBytes), trap = _folder["trap"];
        await using var host = await Programs.StartReadyAsync("vmshunt-host", "--disk", disk, "--vfio-user", trap);
        await using var guest = QemuGuest.StartOn(
            QemuProgram.Sid, isShared: false, ["-chardev", $"file,id=firmware,path={_folder["firmware"]}", "-device", "isa-debugcon,iobase=0x402,chardev=firmware", .. QemuGuest.EmulatedDisk(trap)]);
        await Until.TrueAsync(() => File.Exists(_folder["firmware"]) && File.ReadAllText(_folder["firmware"]).Contains(Firmware, StringComparison.Ordinal), "the firmware gives up");
        await Until.TrueAsync(() => host.LastErrors.Any(static line => line.Contains("share=on", StringComparison.Ordinal)), "VM-H says why");
    }
}
