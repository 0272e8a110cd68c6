using VmShunt.EndToEnd.Processes;
using VmShunt.Perf.Disks;

namespace VmShunt.EndToEnd.Qemu;

/// <summary>An unmodified Linux with one disk by both paths, over its life.</summary>
public sealed class TransitionTests : IDisposable
{
    private const int DiskBytes = 16 << 20;

    // Linux's EDD probe makes the firmware read each disk.
    private const string Quick = "edd=off";

    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [QemuSidFact]
    public async Task Linux_that_probes_ahci_after_virtio_has_one_disk_at_a_time()
    {
        var disk = _folder.RandomFile("disk.img", DiskBytes);
        var hash = await FileHash.OfAsync(disk, default);
        await using var guest = await TransitionGuest.BootAsync(_folder, disk, new LinuxBoot(Quick));
        Assert.Equal("vda", await guest.DisksAsync());
        Assert.Equal("", await guest.DiskLogAsync());
        Assert.Equal(hash, await HashAsync(guest, "vda"));

        // Its driver ends, and starts again after a program has only looked at the other disk.
        await guest.BindAsync(false);
        await guest.AwaitDisksAsync("sda");
        await guest.BindAsync(true);
        await guest.AwaitDisksAsync("vda");

        await guest.Monitor.ExecuteAsync("stop");
        await guest.Monitor.ExecuteAsync("cont");
        Assert.Equal(hash, await HashAsync(guest, "vda"));
        Assert.Equal("vda", await guest.DisksAsync());

        await guest.BindAsync(false);
        await guest.AwaitDisksAsync("sda");
        Assert.Equal(hash, await HashAsync(guest, "sda"));
    }

    [LongQemuSidFact]
    public async Task A_rescan_of_an_idle_guest_shows_the_disk_until_its_next_request()
    {
        await using var guest = await TransitionGuest.BootAsync(_folder, _folder.RandomFile("disk.img", DiskBytes), new LinuxBoot(Quick));
        await guest.Linux.RunAsync("for device in /sys/bus/pci/drivers/ahci/0*; do [ -e $device/host0 ] || [ -d $device/ata1 ] && break; done; echo 1 > $device/remove; echo 1 > /sys/bus/pci/rescan");
        await guest.AwaitDisksAsync("sda vda");
        await guest.Linux.RunAsync("dd if=/dev/vda of=/dev/null bs=4k count=1 iflag=direct");
        await guest.AwaitDisksAsync("vda");
        await guest.AwaitChangeAsync("enumerated -> enlightened: the ring's driver published a request");
    }

    [QemuSidFact]
    public async Task A_root_on_the_emulated_disk_stays_when_virtio_blk_is_loaded_from_it()
    {
        const int systemBytes = 20 << 20;
        string disk = _folder["disk.img"], root = Directory.CreateDirectory(_folder["root"]).FullName;
        foreach (var (name, module) in GuestKernel.Modules().Where(static module => module.Name.StartsWith("virtio", StringComparison.Ordinal))) File.Copy(module, Path.Combine(root, name));
        // A system as large as the smallest ones.
        _folder.RandomFile("root/system", systemBytes);
        var made = await Programs.RunAsync(Installed.Require("mke2fs"), "-q", "-t", "ext4", "-d", root, disk, "48M");
        Assert.True(made.ExitCode == 0, made.ErrorText);
        await using var guest = await TransitionGuest.BootAsync(_folder, disk, new LinuxBoot($"{Quick} novirtio=1"));
        Assert.Equal("sda", await guest.DisksAsync());
        await guest.Linux.RunAsync("mount -t ext4 -o ro /dev/sda /mnt");
        var hash = await guest.Linux.RunAsync("sha256sum < /mnt/system");
        await guest.Linux.RunAsync("for name in virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_blk; do [ ! -e /mnt/$name ] || insmod /mnt/$name; done");
        await guest.AwaitDisksAsync("sda vda");
        await guest.AwaitChangeAsync("the emulated disk stays");
        Assert.Equal(hash, await guest.Linux.RunAsync("echo 3 > /proc/sys/vm/drop_caches; sha256sum < /mnt/system"));
    }

    [LongQemuSidFact]
    public async Task A_ring_that_reconnects_shows_no_event_and_outlives_VM_H()
    {
        var disk = _folder.RandomFile("disk.img", DiskBytes);
        await using var guest = await TransitionGuest.BootAsync(_folder, disk, new LinuxBoot(Quick));
        ProcessTable.Send(guest.Host.Id, ProcessTable.SIGUSR1);
        await guest.AwaitChangeAsync("enlightened -> away");
        ProcessTable.Send(guest.Host.Id, ProcessTable.SIGUSR2);
        await guest.Linux.RunAsync("dd if=/dev/vda of=/dev/null bs=4k count=1 iflag=direct");
        Assert.Equal("vda", await guest.DisksAsync());
        Assert.Equal("", await guest.DiskLogAsync());

        ProcessTable.Send(guest.Host.Id, ProcessTable.SIGKILL);
        await guest.Host.Ended;
        await using var next = await Programs.StartReadyAsync("vmshunt-host", "--disk", disk, "--vhost-user", _folder["ring"], "--vfio-user", _folder["trap"], "--transition", "auto");
        await guest.Linux.RunAsync("echo text | dd of=/dev/vda bs=512 conv=sync,fsync");
        await Until.TrueAsync(() => next.LastErrors.Any(static line => line.Contains("does not reconnect", StringComparison.Ordinal)), "VM-H says that the trap path has disappeared");
    }

    [LongQemuSidFact]
    public async Task A_reboot_a_reset_under_load_and_S3_show_no_emulated_disk()
    {
        var disk = _folder["disk.img"];
        using (var file = File.Create(disk)) file.SetLength(48 << 20);
        await using var guest = await TransitionGuest.BootAsync(_folder, disk, new LinuxBoot(Quick));
        await guest.Linux.RebootAsync();
        Assert.Equal("vda", await guest.DisksAsync());
        await guest.Linux.RunAsync("load vda 0 1000 & until [ \"$(cat /count-vda)\" -gt 2 ]; do sleep 0.1; done");
        await guest.Monitor.ExecuteAsync("system_reset");
        await guest.Linux.WaitForAsync(QemuGuest.Ready);
        Assert.Equal("vda", await guest.DisksAsync());

        // Longer than a reset without a driver may last.
        await guest.Linux.RunAsync("echo deep > /sys/power/mem_sleep; { sleep 1; echo mem > /sys/power/state; touch /resumed; } & true");
        await Until.TrueAsync(async () => (await guest.Monitor.ExecuteAsync("query-status")).GetProperty("status").GetString() == "suspended", "the guest sleeps");
        await guest.AwaitChangeAsync("resetting -> returned");
        await guest.Monitor.ExecuteAsync("system_wakeup");
        await guest.Linux.RunAsync("until [ -e /resumed ]; do sleep 0.1; done; dd if=/dev/vda of=/dev/null bs=4k count=1 iflag=direct");
        Assert.Equal("vda", await guest.DisksAsync());
        Assert.Equal("", await guest.DiskLogAsync());
    }

    [LongQemuSidFact]
    public async Task A_crash_kernel_with_ahci_alone_dumps_by_the_emulated_disk()
    {
        const int megabytes = 512;
        // The mark is in the memory of the guest's shell only, where it is not in the command.
        const string mark = "vmshunt-4711-crashed";
        string disk = _folder["disk.img"], archive = _folder["initramfs"];
        using (var file = File.Create(disk)) file.SetLength((megabytes + 64L) << 20);
        Initramfs.Write(archive, CrashKernel.Files("novirtio=1 dump=sda"));
        await using var guest = await TransitionGuest.BootAsync(_folder, disk, new LinuxBoot($"{Quick} crashkernel=224M", archive, megabytes));
        Assert.Equal("vda", await guest.DisksAsync());
        await guest.Linux.RunAsync(CrashKernel.Load);
        await guest.Linux.RunAsync("mark=vmshunt-$((4700 + 11))-crashed; while true; do dd if=/dev/zero of=/dev/vda bs=64k count=64 conv=fsync 2>/dev/null; done & sleep 1");
        await guest.Linux.SendWithoutAnswerAsync("echo c > /proc/sysrq-trigger");
        await guest.Linux.WaitForAsync($"{QemuGuest.Dumping} sda");
        await guest.Linux.WaitForAsync(QemuGuest.Dumped);
        await guest.AwaitChangeAsync("enumerated -> ring stopped");

        var core = await Programs.RunAsync(Installed.Require("readelf"), "-h", "-n", disk);
        Assert.Contains(core.Output, static line => line.Contains("CORE (Core file)", StringComparison.Ordinal));
        Assert.Contains(core.Output, static line => line.Contains("VMCOREINFO", StringComparison.Ordinal));
        var found = await Programs.RunAsync(Installed.Require("grep"), "-c", "-a", mark, disk);
        Assert.Equal(0, found.ExitCode);
    }

    private static async Task<string> HashAsync(TransitionGuest guest, string disk) => (await guest.Linux.RunAsync($"sha256sum /dev/{disk}")).Split(' ')[0];
}
