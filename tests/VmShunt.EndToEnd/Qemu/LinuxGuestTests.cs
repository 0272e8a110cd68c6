using VmShunt.EndToEnd.Processes;
using VmShunt.Perf.Disks;
using VmShunt.Perf.Launch;
using Xunit.Abstractions;

namespace VmShunt.EndToEnd.Qemu;

/// <summary>Linux in QEMU, whose driver nobody here wrote, on VM-H's disk.</summary>
[Collection(ProcessCollection.Name)]
public sealed class LinuxGuestTests(ITestOutputHelper output) : IDisposable
{
    private const int DiskBytes = 48 << 20;

    private readonly TestFolder _folder = new();
    private string? _initramfs;

    private string Initrd
    {
        get
        {
            if (_initramfs is null) Initramfs.Write(_initramfs = _folder["initramfs"]);
            return _initramfs;
        }
    }

    public void Dispose() => _folder.Dispose();

    [LinuxGuestTheory]
    [InlineData(false, 1)]
    [InlineData(false, 4)]
    [InlineData(true, 1)]
    [InlineData(true, 4)]
    public async Task Linux_makes_fills_trims_and_leaves_a_sound_file_system(bool packed, int queues)
    {
        string disk = EmptyDisk(), socket = _folder["ring"];
        await using var host = await Programs.StartReadyAsync("vmshunt-host", "--disk", disk, "--vhost-user", socket, "--queues", "4");
        string hash;
        await using (var guest = await QemuGuest.BootLinuxAsync(Initrd, queues, QemuGuest.Disk(socket, packed, queues)))
        {
            Assert.Equal($"{DiskBytes / 512}", await guest.RunAsync("cat /sys/block/vda/size"));
            Assert.Equal($"{queues}", await guest.RunAsync("ls /sys/block/vda/mq | wc -l"));
            Assert.Equal("write back", await guest.RunAsync("cat /sys/block/vda/cache_type"));
            await guest.RunAsync("echo 'write through' > /sys/block/vda/cache_type && dd if=/dev/zero of=/dev/vda bs=64k count=8 conv=fsync");
            Assert.Equal("write through", await guest.RunAsync("cat /sys/block/vda/cache_type"));
            await guest.RunAsync("echo 'write back' > /sys/block/vda/cache_type");
            Assert.Equal("VMSHUNT0", await guest.RunAsync("cat /sys/block/vda/serial"));
            await guest.RunAsync("/sbin/mke2fs -q -t ext4 -E nodiscard /dev/vda && mount -t ext4 /dev/vda /mnt");
            await guest.RunAsync("dd if=/dev/urandom of=/mnt/file bs=64k count=200 conv=fsync");
            await guest.RunAsync("dd if=/dev/zero of=/mnt/gone bs=64k count=200 conv=fsync && rm /mnt/gone && sync");
            var before = AllocatedBytes(disk);
            await guest.RunAsync("fstrim -v /mnt && sync");
            Assert.True(AllocatedBytes(disk) < before - (8 << 20), "the trim gave no space back");
            hash = (await guest.RunAsync("sha256sum /mnt/file")).Split(' ')[0];
            await guest.RunAsync("umount /mnt && mount -t ext4 /dev/vda /mnt");
            Assert.Equal(hash, (await guest.RunAsync("sha256sum /mnt/file")).Split(' ')[0]);
            await guest.RunAsync("umount /mnt && sync");

            // The disk grows under the running guest, and what is behind its old end can be used.
            using (var file = new FileStream(disk, FileMode.Open, FileAccess.Write, FileShare.ReadWrite)) file.SetLength(2 * DiskBytes);
            ProcessTable.Send(host.Id, Signal.HangUp);
            await Until.TrueAsync(async () => await guest.RunAsync("cat /sys/block/vda/size") == $"{2 * DiskBytes / 512}", "the guest sees the disk grow");
            await guest.RunAsync($"dd if=/dev/urandom of=/seed bs=1M count=1 && dd if=/seed of=/dev/vda bs=1M seek={(2 * DiskBytes >> 20) - 1} conv=fsync");
        }
        await CheckFileSystemAsync(disk);
        Assert.Equal(hash, await HashOfFileAsync(disk));
    }

    [LinuxGuestFact]
    public async Task Two_guests_read_one_read_only_disk_and_leave_it_as_it_was()
    {
        string disk = _folder.RandomFile("disk.img", DiskBytes), socket = _folder["ring"];
        var before = (await FileHash.OfAsync(disk, default), File.GetLastWriteTimeUtc(disk));
        await using var host = await Programs.StartReadyAsync("vmshunt-host", "--disk", disk, "--read-only", "--vhost-user", socket);
        await using var first = await QemuGuest.BootLinuxAsync(Initrd, 1, QemuGuest.Disk(socket));
        await using var second = await QemuGuest.BootLinuxAsync(Initrd, 1, QemuGuest.Disk(socket, packed: true));
        var hashes = await Task.WhenAll(new[] { first, second }.Select(static guest => guest.RunAsync("sha256sum /dev/vda")));
        Assert.All(hashes, hash => Assert.Equal(before.Item1, hash.Split(' ')[0]));
        Assert.Equal("1", await first.RunAsync("cat /sys/block/vda/ro"));
        Assert.NotEqual(0, (await first.TryAsync("dd if=/dev/zero of=/dev/vda bs=4k count=1 conv=fsync")).Code);
        Assert.Equal(before, (await FileHash.OfAsync(disk, default), File.GetLastWriteTimeUtc(disk)));
    }

    [LinuxGuestTheory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task VM_H_may_be_killed_and_started_again_under_a_guests_writes(bool packed)
    {
        const int kills = 4;
        string disk = EmptyDisk(), socket = _folder["ring"];
        string[] options = ["--disk", disk, "--vhost-user", socket];
        var host = await Programs.StartReadyAsync("vmshunt-host", options);
        try
        {
            await using var guest = await QemuGuest.BootLinuxAsync(Initrd, 2, QemuGuest.Disk(socket, packed, reconnect: true));
            await guest.RunAsync("/sbin/mke2fs -q -t ext4 -E nodiscard /dev/vda && mount -t ext4 /dev/vda /mnt && head -c 4000000 /dev/urandom > /seed");
            await guest.RunAsync("(i=0; while [ ! -e /stop ]; do cp /seed /mnt/$((i % 6)) && sync || echo bad >> /errors; i=$((i + 1)); echo $i > /count; done; echo over > /over) > /dev/null 2>&1 & sleep 0");
            for (var kill = 0; kill < kills; kill++)
            {
                var count = await CountAsync(guest);
                await Until.TrueAsync(async () => await CountAsync(guest) > count + 1, "the guest writes on");
                ProcessTable.Send(host.Id, 9);
                await host.Ended;
                await host.DisposeAsync();
                host = await Programs.StartReadyAsync("vmshunt-host", options);
            }
            var last = await CountAsync(guest);
            await Until.TrueAsync(async () => await CountAsync(guest) > last, "the guest writes on");
            await guest.RunAsync("touch /stop");
            await Until.TrueAsync(async () => (await guest.TryAsync("test -e /over")).Code == 0, "the load ends");
            Assert.NotEqual(0, (await guest.TryAsync("cat /errors")).Code);
            Assert.DoesNotContain("I/O error", await guest.RunAsync("dmesg"), StringComparison.OrdinalIgnoreCase);
            await guest.RunAsync("umount /mnt && mount -t ext4 /dev/vda /mnt && for i in 0 1 2 3 4 5; do cmp /seed /mnt/$i || exit 1; done; umount /mnt");
            output.WriteLine($"{await CountAsync(guest)} files of 4 MB over {kills} kills");
        }
        finally
        {
            await host.DisposeAsync();
        }
        await CheckFileSystemAsync(disk);
    }

    [LinuxGuestFact]
    public async Task Guests_that_reboot_or_are_killed_leave_nothing_in_VM_H()
    {
        string disk = EmptyDisk(), socket = _folder["ring"];
        await using var host = await Programs.StartReadyAsync("vmshunt-host", "--disk", disk, "--vhost-user", socket);
        // The first guest brings what the runtime makes once: threads of its pool, and the like.
        (int Threads, int Descriptors, long Mappings)? afterFirst = null;
        for (var round = 0; round < 2; round++)
        {
            await using var guest = await QemuGuest.BootLinuxAsync(Initrd, 1, QemuGuest.Disk(socket, packed: round == 1));
            var written = await guest.RunAsync("dd if=/dev/urandom of=/dev/vda bs=1M count=8 conv=fsync 2>/dev/null && dd if=/dev/vda bs=1M count=8 iflag=direct 2>/dev/null | sha256sum");
            await guest.RebootAsync();
            Assert.Equal(written, await guest.RunAsync("dd if=/dev/vda bs=1M count=8 2>/dev/null | sha256sum"));
            ProcessTable.Send(guest.Id, 9);
            await guest.Ended;
            await Until.TrueAsync(() => Resources(host).Mappings == 0, "VM-H lets the guest's memory go");
            afterFirst ??= Resources(host);
        }
        output.WriteLine($"after the first guest {afterFirst}, after the second {Resources(host)}");
        await Until.TrueAsync(() => Resources(host) is var now && now.Threads <= afterFirst!.Value.Threads && now.Descriptors <= afterFirst.Value.Descriptors, "VM-H lets everything go");
    }

    private static (int Threads, int Descriptors, long Mappings) Resources(ChildProcess process) => (
        Directory.EnumerateDirectories($"/proc/{process.Id}/task").Count(),
        Directory.EnumerateFiles($"/proc/{process.Id}/fd").Count(),
        File.ReadLines($"/proc/{process.Id}/maps").Count(static line => line.Contains("memfd:memory-backend", StringComparison.Ordinal)));

    private static async Task<int> CountAsync(QemuGuest guest) =>
        await guest.TryAsync("cat /count") is (0, var text) && int.TryParse(text, out var count) ? count : 0;

    private string EmptyDisk()
    {
        var path = _folder["disk.img"];
        using var file = File.Create(path);
        file.SetLength(DiskBytes);
        return path;
    }

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
