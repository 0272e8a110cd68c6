using VmShunt.EndToEnd.Processes;

namespace VmShunt.EndToEnd.Qemu;

/// <summary>Linux sees one disk with the same block sizes through virtio-blk and through AHCI.</summary>
public sealed class BlockSizeTests : IDisposable
{
    // Not a whole number of blocks of 4096 bytes.
    private const int DiskBytes = (8 << 20) + 512;

    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [LinuxGuestTheory]
    [QemuData(QemuDataAttribute.Sid, 512, 8192)]
    [QemuData(QemuDataAttribute.Sid, 4096, 4096)]
    public async Task Both_paths_have_the_logical_and_physical_block_size_that_VM_H_was_given(string qemu, int logical, int physical)
    {
        string disk = _folder.RandomFile("disk.img", DiskBytes), ring = _folder["ring"], trap = _folder["trap"];
        await using var host = await Programs.StartReadyAsync(
            "vmshunt-host", "--disk", disk, "--vhost-user", ring, "--vfio-user", trap, "--logical-block-size", $"{logical}", "--physical-block-size", $"{physical}");
        await using var guest = await QemuGuest.BootLinuxOnAsync(QemuProgram.Of(qemu), 1, [.. QemuGuest.Disk(ring), .. QemuGuest.EmulatedDisk(trap)]);
        await Until.TrueAsync(async () => (await guest.TryAsync("test -b /dev/sda")).Code == 0, "Linux has found the emulated disk");
        foreach (var name in new[] { "vda", "sda" })
        {
            Assert.Equal($"{logical}", await guest.RunAsync($"cat /sys/block/{name}/queue/logical_block_size"));
            Assert.Equal($"{physical}", await guest.RunAsync($"cat /sys/block/{name}/queue/physical_block_size"));
            Assert.Equal($"{DiskBytes / logical * logical / 512}", await guest.RunAsync($"cat /sys/block/{name}/size"));
        }
        await guest.RunAsync($"head -c {7 * logical} /dev/urandom > /seed && dd if=/seed of=/dev/sda bs={logical} seek=3 oflag=direct conv=notrunc && dd if=/dev/vda bs={logical} skip=3 count=7 iflag=direct | cmp - /seed");
        await guest.RunAsync($"dd if=/seed of=/dev/vda bs={logical} seek=20 oflag=direct conv=notrunc && dd if=/dev/sda bs={logical} skip=20 count=7 iflag=direct | cmp - /seed");
        var content = File.ReadAllBytes(disk);
        Assert.True(content.AsSpan(3 * logical, 7 * logical).SequenceEqual(content.AsSpan(20 * logical, 7 * logical)));
        Assert.DoesNotContain("I/O error", await guest.RunAsync("dmesg"), StringComparison.OrdinalIgnoreCase);
    }
}
