using VmShunt.EndToEnd.Processes;
using VmShunt.Perf.Disks;
using VmShunt.Perf.Launch;
using Xunit.Abstractions;

namespace VmShunt.EndToEnd.Qemu;

/// <summary>Disks of VM-H in a Linux guest in QEMU: neither the driver nor the front-end is ours.</summary>
public sealed class LinuxDiskTests(LinuxWithDisks linux, ITestOutputHelper output) : IClassFixture<LinuxWithDisks>, IDisposable
{
    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [LinuxGuestTheory]
    [InlineData(false, 1)]
    [InlineData(false, 4)]
    [InlineData(true, 1)]
    [InlineData(true, 4)]
    public Task Linux_makes_fills_trims_and_leaves_a_sound_file_system(bool packed, int queues) => linux.UseAsync(LinuxDiskSpec.ForFiles(packed, queues), async disk =>
    {
        const int bytes = LinuxWithDisks.DiskBytes;
        var guest = disk.Guest;
        Assert.Equal($"{bytes / 512}", await disk.AttributeAsync("size"));
        Assert.Equal($"{queues}", await guest.RunAsync($"ls /sys/block/{disk.Name}/mq | wc -l"));
        Assert.Equal("write back", await disk.AttributeAsync("cache_type"));
        await guest.RunAsync($"echo 'write through' > /sys/block/{disk.Name}/cache_type && dd if=/dev/zero of={disk.Device} bs=64k count=8 conv=fsync");
        Assert.Equal("write through", await disk.AttributeAsync("cache_type"));
        await guest.RunAsync($"echo 'write back' > /sys/block/{disk.Name}/cache_type");
        Assert.Equal("VMSHUNT0", await disk.AttributeAsync("serial"));
        await guest.RunAsync($"/sbin/mke2fs -q -t ext4 -E nodiscard {disk.Device} && mount -t ext4 {disk.Device} /mnt");
        await guest.RunAsync("dd if=/dev/urandom of=/mnt/file bs=64k count=200 conv=fsync");
        await guest.RunAsync("dd if=/dev/zero of=/mnt/gone bs=64k count=200 conv=fsync && rm /mnt/gone && sync");
        var before = AllocatedBytes(disk.File);
        await guest.RunAsync("fstrim -v /mnt && sync");
        Assert.True(AllocatedBytes(disk.File) < before - (8 << 20), "the trim freed no space");
        var hash = (await guest.RunAsync("sha256sum /mnt/file")).Split(' ')[0];
        await guest.RunAsync($"umount /mnt && mount -t ext4 {disk.Device} /mnt");
        Assert.Equal(hash, (await guest.RunAsync("sha256sum /mnt/file")).Split(' ')[0]);
        await guest.RunAsync("umount /mnt && sync");

        // The disk grows under the running guest, and the guest can use what was added.
        using (var file = new FileStream(disk.File, FileMode.Open, FileAccess.Write, FileShare.ReadWrite)) file.SetLength(2 * bytes);
        ProcessTable.Send(disk.Host.Id, Signal.HangUp);
        await Until.TrueAsync(async () => await disk.AttributeAsync("size") == $"{2 * bytes / 512}", "the guest sees the disk grow");
        await guest.RunAsync($"dd if=/dev/urandom of=/seed bs=1M count=1 && dd if=/seed of={disk.Device} bs=1M seek={(2 * bytes >> 20) - 1} conv=fsync");
        await CheckFileSystemAsync(disk.File);
        Assert.Equal(hash, await HashOfFileAsync(disk.File));
    });

    [LinuxGuestTheory]
    [InlineData("writethrough", 512, "write through")]
    [InlineData("direct", 512, "write back")]
    [InlineData("direct", 4096, "write back")]
    public Task Linux_sees_the_disk_as_VM_H_describes_it_and_keeps_its_files_on_it(string cache, int blockBytes, string cacheType) => linux.UseAsync(LinuxDiskSpec.Described(cache, blockBytes), async disk =>
    {
        var guest = disk.Guest;
        Assert.Equal(cacheType, await disk.AttributeAsync("cache_type"));
        Assert.Equal($"{blockBytes}", await disk.AttributeAsync("queue/logical_block_size"));
        Assert.Equal("4096", await disk.AttributeAsync("queue/physical_block_size"));
        Assert.Equal("4096", await disk.AttributeAsync("queue/minimum_io_size"));
        Assert.Equal("126", await disk.AttributeAsync("queue/max_segments"));
        Assert.Equal($"{4 << 20}", await disk.AttributeAsync("queue/max_segment_size"));
        Assert.Equal("4096", await disk.AttributeAsync("queue/discard_granularity"));
        Assert.NotEqual("0", await disk.AttributeAsync("queue/write_zeroes_max_bytes"));
        if (cache == "writethrough")
        {
            // The disk has no write cache to enable.
            await guest.TryAsync($"echo 'write back' > /sys/block/{disk.Name}/cache_type");
            Assert.Equal("write through", await disk.AttributeAsync("cache_type"));
        }

        // Unaligned sizes and offsets, without the guest's page cache and through it.
        await guest.RunAsync($"head -c 3182592 /dev/urandom > /seed && dd if=/seed of={disk.Device} bs={blockBytes} seek=3 count=777 conv=fsync oflag=direct");
        Assert.Equal(
            await guest.RunAsync($"dd if=/seed bs={blockBytes} count=777 2>/dev/null | sha256sum"),
            await guest.RunAsync($"dd if={disk.Device} bs={blockBytes} skip=3 count=777 iflag=direct 2>/dev/null | sha256sum"));
        await guest.RunAsync($"/sbin/mke2fs -q -t ext4 {disk.Device} && mount -t ext4 {disk.Device} /mnt && cp /seed /mnt/a && sync && umount /mnt && mount -t ext4 {disk.Device} /mnt");
        Assert.Equal((await guest.RunAsync("sha256sum /seed")).Split(' ')[0], (await guest.RunAsync("sha256sum /mnt/a")).Split(' ')[0]);
        await guest.RunAsync("umount /mnt && sync");
        Assert.DoesNotContain("I/O error", await disk.LogAsync(), StringComparison.OrdinalIgnoreCase);
        Assert.DoesNotContain(disk.Host.LastErrors, line => line.Contains("fail:", StringComparison.Ordinal));
    });

    [LinuxGuestTheory]
    [InlineData(false)]
    [InlineData(true)]
    public Task VM_H_may_be_killed_and_started_again_under_a_guests_writes(bool packed) => linux.UseAsync(LinuxDiskSpec.Killed(packed), async disk =>
    {
        var kills = LongForm.Choose(2, 40);
        var guest = disk.Guest;
        await guest.RunAsync("rm -f /stop /over /errors /count");
        await guest.RunAsync($"/sbin/mke2fs -q -t ext4 -E nodiscard {disk.Device} && mount -t ext4 {disk.Device} /mnt && head -c 4000000 /dev/urandom > /seed");
        await guest.RunAsync("(i=0; while [ ! -e /stop ]; do cp /seed /mnt/$((i % 6)) && sync || echo bad >> /errors; i=$((i + 1)); echo $i > /count; done; echo over > /over) > /dev/null 2>&1 & sleep 0");
        for (var kill = 0; kill < kills; kill++)
        {
            var count = await CountAsync(guest);
            await Until.TrueAsync(async () => await CountAsync(guest) > count + 1, $"the guest writes two files after {kill} kills");
            await disk.KillHostAsync();
        }
        // Before the load stops it has written each of the six files at least once, the last ones after the last kill.
        var last = await CountAsync(guest);
        await Until.TrueAsync(async () => await CountAsync(guest) > Math.Max(last, 5), "the guest writes after the last kill");
        await guest.RunAsync("touch /stop");
        await Until.TrueAsync(async () => (await guest.TryAsync("test -e /over")).Code == 0, "the load stops");
        Assert.NotEqual(0, (await guest.TryAsync("cat /errors")).Code);
        Assert.DoesNotContain("I/O error", await disk.LogAsync(), StringComparison.OrdinalIgnoreCase);
        await guest.RunAsync($"umount /mnt && mount -t ext4 {disk.Device} /mnt && for i in 0 1 2 3 4 5; do cmp /seed /mnt/$i || exit 1; done; umount /mnt && sync");
        var seen = $"{await CountAsync(guest)} files of 4 MB over {kills} kills";
        output.WriteLine(seen);
        LongForm.Keep(nameof(LinuxDiskTests), $"{(packed ? "packed" : "split")} ring: {seen}");
        await CheckFileSystemAsync(disk.File);
    });

    private static async Task<int> CountAsync(QemuGuest guest) =>
        await guest.TryAsync("cat /count") is (0, var text) && int.TryParse(text, out var count) ? count : 0;

    private static long AllocatedBytes(string path)
    {
        using var stat = System.Diagnostics.Process.Start(new System.Diagnostics.ProcessStartInfo("stat", ["-c", "%b", path]) { RedirectStandardOutput = true })!;
        return 512 * long.Parse(stat.StandardOutput.ReadToEnd());
    }

    private static async Task CheckFileSystemAsync(string disk)
    {
        var check = await Programs.RunAsync(Installed.Require("e2fsck"), "-f", "-n", disk);
        Assert.True(check.ExitCode == 0, string.Join('\n', check.Output) + check.ErrorText);
    }

    private async Task<string> HashOfFileAsync(string disk)
    {
        var copy = _folder["copy"];
        var dump = await Programs.RunAsync(Installed.Require("debugfs"), "-R", $"dump /file {copy}", disk);
        Assert.True(File.Exists(copy), dump.ErrorText);
        return await FileHash.OfAsync(copy, default);
    }
}
