using VmShunt.EndToEnd.Processes;
using VmShunt.EndToEnd.Qemu;
using VmShunt.Perf.Disks;
using VmShunt.Perf.Launch;

namespace VmShunt.EndToEnd.Samples;

/// <summary>The disks in <c>samples</c>, as processes that virtual machines use.</summary>
public sealed class SampleDiskTests : IDisposable
{
    private const int DiskBytes = 48 << 20, MostLines = 20;

    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("RamDisk")]
    public void A_simple_disk_of_ones_own_takes_few_lines(string sample)
    {
        var lines = File.ReadLines(Path.Combine(Repository.Root, "samples", sample, "Program.cs"))
            .Count(static line => line.Trim().Length > 0 && !line.StartsWith("using VmShunt", StringComparison.Ordinal) && !line.StartsWith("//", StringComparison.Ordinal));
        Assert.InRange(lines, 1, MostLines);
    }

    [FactIfInstalled("qemu-system-x86_64")]
    public async Task SeaBIOS_starts_a_boot_sector_from_RamDisk()
    {
        string image = _folder["boot.img"], socket = _folder["ring"];
        BootSector.WriteDisk(image);
        await using var disk = await Programs.StartReadyAsync("RamDisk", image, socket);
        await using var guest = QemuGuest.Start(QemuGuest.Disk(socket, packed: true));
        await guest.WaitForAsync(BootSector.Message);
        await guest.Ended.WaitAsync(Until.Patience);
        Assert.Equal(BootSector.ExitCode, guest.ExitCode);
    }

    [QemuSidTheory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Linux_boots_from_RamDisk_by_the_ring_and_with_one_more_line_by_AHCI(bool isEmulated)
    {
        string image = _folder["boot.img"], ring = _folder["ring"], trap = _folder["trap"];
        await BootDisk.WriteAsync(image);
        await using var disk = await Programs.StartReadyAsync("RamDisk", image, ring, trap);
        await using var guest = QemuGuest.StartOn(QemuProgram.Sid, isEmulated ? QemuGuest.EmulatedDisk(trap) : QemuGuest.Disk(ring));
        await guest.WaitForAsync("GUEST-READY");
        var device = isEmulated ? "sda" : "vda";
        Assert.Equal(await FileHash.OfAsync(image, default), (await guest.RunAsync($"sha256sum /dev/{device}")).Split(' ')[0]);
        await guest.RunAsync($"mke2fs -q /dev/{device} && mount -t ext4 /dev/{device} /mnt && dd if=/bin/busybox of=/mnt/file && sync && umount /mnt");
        await guest.RunAsync($"mount -t ext4 /dev/{device} /mnt && cmp /bin/busybox /mnt/file && umount /mnt");
    }

    [LinuxGuestFact]
    public async Task A_Linux_guest_uses_the_samples_as_disks()
    {
        string empty = _folder["empty.img"], slow = _folder["slow.img"], web = _folder.RandomFile("web.img", DiskBytes);
        foreach (var image in new[] { empty, slow })
        {
            using var file = File.Create(image);
            file.SetLength(DiskBytes);
        }
        // busybox as the web server: it answers range requests.
        var (httpd, port) = await TcpServer.StartAsync(
            port => Programs.Start(Installed.Require("busybox"), "httpd", "-f", "-p", $"127.0.0.1:{port}", "-h", _folder.Path), "HEAD /web.img HTTP/1.0\r\n\r\n"u8.ToArray(), greeting: 'H');
        await using var stopsWithTheTest = httpd;
        await using var ram = await Programs.StartReadyAsync("RamDisk", empty, _folder["ring0"]);
        await using var http = await Programs.StartReadyAsync("HttpDisk", $"http://127.0.0.1:{port}/web.img", _folder["ring1"]);
        await using var late = await Programs.StartReadyAsync("SlowDisk", slow, _folder["ring2"], "2", "0");
        await using (var guest = await QemuGuest.BootLinuxAsync(
            2, [.. QemuGuest.Disk(_folder["ring0"]), .. QemuGuest.Disk(_folder["ring1"], packed: true, number: 1), .. QemuGuest.Disk(_folder["ring2"], queues: 2, number: 2)]))
        {
            Assert.Equal(await FileHash.OfAsync(web, default), (await guest.RunAsync("sha256sum /dev/vdb")).Split(' ')[0]);
            Assert.Equal("1", await guest.RunAsync("cat /sys/block/vdb/ro"));
            foreach (var device in new[] { "/dev/vda", "/dev/vdc" })
            {
                await guest.RunAsync($"mke2fs -q {device} && mount -t ext4 {device} /mnt && dd if=/dev/vdb of=/mnt/file bs=64k count=64 && sync && umount /mnt");
                await guest.RunAsync($"mount -t ext4 {device} /mnt && dd if=/dev/vdb bs=64k count=64 | cmp - /mnt/file && umount /mnt");
            }
        }
        // SlowDisk keeps its image, RamDisk its copy of one.
        Assert.NotEqual(await FileHash.OfAsync(empty, default), await FileHash.OfAsync(slow, default));
    }

    [Fact]
    public async Task RamDisk_is_an_AHCI_disk_too_with_one_more_line()
    {
        string image = _folder.RandomFile("ram.img", 4 << 20), ring = _folder["ring"], trap = _folder["trap"], socket = _folder["hypervisor"];
        await using var disk = await Programs.StartReadyAsync("RamDisk", image, ring, trap);
        await using var hypervisor = await Programs.StartReadyAsync(
            "vmshunt-hypervisor", "--socket", socket, "--device", $"disk0,vhost-user={ring},vfio-user={trap}");
        var hash = await FileHash.OfAsync(image, default);
        foreach (var mode in (string[])["emulating", "enlightened"])
        {
            var ended = await Programs.RunAsync("vmshunt-guest", "--hypervisor", socket, "--memory", "32M", "--mode", mode, "hash");
            Assert.True(ended.ExitCode == 0, ended.ErrorText);
            Assert.Contains(hash, string.Join('\n', ended.Output), StringComparison.OrdinalIgnoreCase);
        }
    }

    [Fact]
    public async Task SlowDisk_fails_the_share_of_requests_that_it_was_told_to_and_nothing_else()
    {
        string image = _folder.RandomFile("slow.img", 1 << 20), socket = _folder["ring"];
        await using var disk = await Programs.StartReadyAsync("SlowDisk", image, socket, "0", "100");
        var ended = await Programs.RunAsync("vmshunt-guest", "--bus", socket, "hash");
        Assert.NotEqual(0, ended.ExitCode);
        Assert.Contains("IoError", ended.ErrorText, StringComparison.Ordinal);
        ProcessTable.Send(disk.Id, Signal.Terminate);
        Assert.Equal(0, (await Programs.WaitForEndAsync(disk)).ExitCode);
    }
}
