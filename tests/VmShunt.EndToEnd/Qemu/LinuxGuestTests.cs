using VmShunt.EndToEnd.Processes;
using VmShunt.Perf.Disks;
using VmShunt.Perf.Launch;
using Xunit.Abstractions;

namespace VmShunt.EndToEnd.Qemu;

/// <summary>Linux guests in QEMU that share a disk of VM-H, reboot, and are killed.</summary>
public sealed class LinuxGuestTests(ITestOutputHelper output) : IDisposable
{
    private const int DiskBytes = 48 << 20;

    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [LinuxGuestFact]
    public async Task Two_guests_read_one_read_only_disk_and_leave_it_as_it_was()
    {
        string disk = _folder.RandomFile("disk.img", DiskBytes), socket = _folder["ring"];
        var before = (await FileHash.OfAsync(disk, default), File.GetLastWriteTimeUtc(disk));
        await using var host = await Programs.StartReadyAsync("vmshunt-host", "--disk", disk, "--read-only", "--vhost-user", socket);
        await using var first = await QemuGuest.BootLinuxAsync(1, QemuGuest.Disk(socket));
        await using var second = await QemuGuest.BootLinuxAsync(1, QemuGuest.Disk(socket, packed: true));
        var hashes = await Task.WhenAll(new[] { first, second }.Select(static guest => guest.RunAsync("sha256sum /dev/vda")));
        Assert.All(hashes, hash => Assert.Equal(before.Item1, hash.Split(' ')[0]));
        Assert.Equal("1", await first.RunAsync("cat /sys/block/vda/ro"));
        Assert.NotEqual(0, (await first.TryAsync("dd if=/dev/zero of=/dev/vda bs=4k count=1 conv=fsync")).Code);
        Assert.Equal(before, (await FileHash.OfAsync(disk, default), File.GetLastWriteTimeUtc(disk)));
    }

    [LinuxGuestFact]
    public async Task Guests_that_reboot_or_are_killed_leave_nothing_in_VM_H()
    {
        string disk = _folder["disk.img"], socket = _folder["ring"];
        using (var file = File.Create(disk)) file.SetLength(DiskBytes);
        await using var host = await Programs.StartReadyAsync("vmshunt-host", "--disk", disk, "--vhost-user", socket);
        // With the first guest the runtime allocates what it keeps: threads of its pool, and the like.
        (int Threads, int Descriptors, long Mappings)? afterFirst = null;
        for (var round = 0; round < 2; round++)
        {
            await using var guest = await QemuGuest.BootLinuxAsync(1, QemuGuest.Disk(socket, packed: round == 1));
            var written = await guest.RunAsync("dd if=/dev/urandom of=/dev/vda bs=1M count=8 conv=fsync 2>/dev/null && dd if=/dev/vda bs=1M count=8 iflag=direct 2>/dev/null | sha256sum");
            await guest.RebootAsync();
            Assert.Equal(written, await guest.RunAsync("dd if=/dev/vda bs=1M count=8 2>/dev/null | sha256sum"));
            ProcessTable.Send(guest.Id, ProcessTable.SIGKILL);
            await guest.Ended;
            await Until.TrueAsync(() => Resources(host).Mappings == 0, "VM-H unmaps the guest's memory");
            afterFirst ??= Resources(host);
        }
        output.WriteLine($"after the first guest {afterFirst}, after the second {Resources(host)}");
        await Until.TrueAsync(
            () => Resources(host) is var now && now.Threads <= afterFirst!.Value.Threads && now.Descriptors <= afterFirst.Value.Descriptors,
            "VM-H has no more threads and descriptors than after the first guest");
    }

    private static (int Threads, int Descriptors, long Mappings) Resources(ChildProcess process) => (
        Directory.EnumerateDirectories($"/proc/{process.Id}/task").Count(),
        Directory.EnumerateFiles($"/proc/{process.Id}/fd").Count(),
        File.ReadLines($"/proc/{process.Id}/maps").Count(static line => line.Contains("memfd:memory-backend", StringComparison.Ordinal)));
}
