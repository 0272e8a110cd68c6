using VmShunt.EndToEnd.Processes;

namespace VmShunt.EndToEnd.Qemu;

/// <summary>What Linux in QEMU makes of the disk that VM-H describes: cache modes, sizes that suit, zeros and holes.</summary>
[Collection(ProcessCollection.Name)]
public sealed class LinuxDiskTests : IDisposable
{
    private const int DiskBytes = 32 << 20;

    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [LinuxGuestTheory]
    [InlineData("writethrough", 512, "write through")]
    [InlineData("direct", 512, "write back")]
    [InlineData("direct", 4096, "write back")]
    public async Task Linux_takes_the_disk_as_it_is_described_and_keeps_its_files_on_it(string cache, int blockBytes, string cacheType)
    {
        string disk = _folder.RandomFile("disk.img", DiskBytes), socket = _folder["ring"], initramfs = _folder["initramfs"];
        Initramfs.Write(initramfs);
        await using var host = await Programs.StartReadyAsync(
            "vmshunt-host", "--disk", disk, "--vhost-user", socket, "--cache", cache, "--block-size", $"{blockBytes}", "--queue-size", "128");
        await using var guest = await QemuGuest.BootLinuxAsync(initramfs, 1, QemuGuest.Disk(socket));
        Assert.Equal($"{cacheType}", await guest.RunAsync("cat /sys/block/vda/cache_type"));
        Assert.Equal($"{blockBytes}", await QueueAsync(guest, "logical_block_size"));
        Assert.Equal("4096", await QueueAsync(guest, "physical_block_size"));
        Assert.Equal("4096", await QueueAsync(guest, "minimum_io_size"));
        Assert.Equal("126", await QueueAsync(guest, "max_segments"));
        Assert.Equal($"{4 << 20}", await QueueAsync(guest, "max_segment_size"));
        Assert.Equal("4096", await QueueAsync(guest, "discard_granularity"));
        Assert.NotEqual("0", await QueueAsync(guest, "write_zeroes_max_bytes"));
        if (cache == "writethrough")
        {
            // There is no cache to turn on.
            await guest.TryAsync("echo 'write back' > /sys/block/vda/cache_type");
            Assert.Equal("write through", await guest.RunAsync("cat /sys/block/vda/cache_type"));
        }

        // Sizes and places that suit nothing, past the guest's page cache and through it.
        await guest.RunAsync($"head -c 3182592 /dev/urandom > /seed && dd if=/seed of=/dev/vda bs={blockBytes} seek=3 count=777 conv=fsync oflag=direct");
        Assert.Equal(
            await guest.RunAsync($"dd if=/seed bs={blockBytes} count=777 2>/dev/null | sha256sum"),
            await guest.RunAsync($"dd if=/dev/vda bs={blockBytes} skip=3 count=777 iflag=direct 2>/dev/null | sha256sum"));
        await guest.RunAsync("/sbin/mke2fs -q -t ext4 /dev/vda && mount -t ext4 /dev/vda /mnt && cp /seed /mnt/a && sync && umount /mnt && mount -t ext4 /dev/vda /mnt");
        Assert.Equal((await guest.RunAsync("sha256sum /seed")).Split(' ')[0], (await guest.RunAsync("sha256sum /mnt/a")).Split(' ')[0]);
        await guest.RunAsync("umount /mnt && sync");
        Assert.DoesNotContain("I/O error", await guest.RunAsync("dmesg"), StringComparison.OrdinalIgnoreCase);
        Assert.DoesNotContain(host.LastErrors, line => line.Contains("fail:", StringComparison.Ordinal));
    }

    private static Task<string> QueueAsync(QemuGuest guest, string name) => guest.RunAsync($"cat /sys/block/vda/queue/{name}");
}
