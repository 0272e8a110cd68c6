using VmShunt.EndToEnd.Processes;

namespace VmShunt.EndToEnd.Qemu;

/// <summary>Firmware and a boot loader that have the disk by both paths.</summary>
public sealed class TransitionFirmwareTests : IDisposable
{
    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [GrubFact]
    public async Task OVMF_and_GRUB_boot_Linux_from_the_emulated_disk_which_Linux_never_sees()
    {
        var disk = _folder["disk.img"];
        await GrubDisk.WriteAsync(disk, "console=ttyS0 quiet no_timer_check");
        await using var guest = await TransitionGuest.StartAsync(
            _folder,
            disk,
            async options =>
            {
                var linux = QemuGuest.StartOn(QemuProgram.Sid, isShared: true, [.. GrubDisk.Firmware(_folder["variables"]), .. options], megabytes: 512);
                await linux.WaitForAsync(QemuGuest.Ready);
                return linux;
            },
            isBooted: true);
        Assert.Equal("vda", await guest.DisksAsync());
        Assert.Equal("", await guest.DiskLogAsync());
        await guest.Linux.RunAsync("test -d /sys/firmware/efi");
        // What firmware and boot loader read, and nothing else.
        var change = Assert.Single(guest.Changes());
        Assert.Contains("emulated -> enlightened: a driver started on the ring, and only polling users had the emulated disk", change, StringComparison.Ordinal);
        Assert.DoesNotContain("(0 requests on the trap path", change, StringComparison.Ordinal);
    }

    [UBootFact]
    public async Task U_Boot_writes_the_emulated_disk_and_boots_Linux_from_it_which_never_sees_it()
    {
        var disk = _folder["disk.img"];
        await UBootDisk.WriteAsync(disk, "console=ttyS0 quiet no_timer_check");
        await using var guest = await TransitionGuest.StartAsync(_folder, disk, async options =>
        {
            var linux = QemuGuest.StartOn(QemuProgram.Sid, isShared: true, [.. UBootDisk.Firmware, .. options], megabytes: 512);
            await linux.WaitForAsync(QemuGuest.Ready);
            return linux;
        });
        Assert.Equal("vda", await guest.DisksAsync());
        Assert.Equal("", await guest.DiskLogAsync());
        Assert.Equal(UBootDisk.Written, await guest.Linux.RunAsync($"dd if=/dev/vda skip={UBootDisk.WrittenSector} count=1 2>/dev/null"));
        // Linux enumerates the controller that U-Boot wrote by, and finds it without its disk.
        Assert.Collection(
            guest.Changes(),
            static change => Assert.Contains("emulated -> written", change, StringComparison.Ordinal),
            static change =>
            {
                Assert.Contains("written -> emulated: the guest enumerated the emulated disk's controller", change, StringComparison.Ordinal);
                Assert.DoesNotContain("(0 requests on the trap path", change, StringComparison.Ordinal);
            },
            static change => Assert.Contains("emulated -> enlightened: a driver started on the ring, and only polling users had the emulated disk", change, StringComparison.Ordinal));
    }
}
