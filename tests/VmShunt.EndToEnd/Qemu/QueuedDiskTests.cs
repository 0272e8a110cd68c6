using System.Globalization;
using VmShunt.EndToEnd.Processes;
using VmShunt.Perf.Disks;
using Xunit.Abstractions;

namespace VmShunt.EndToEnd.Qemu;

/// <summary>Native command queuing of VM-H's emulated controller, used by Linux's <c>ahci</c> driver in QEMU from sid.</summary>
public sealed class QueuedDiskTests(ITestOutputHelper output) : IDisposable
{
    private const int DiskBytes = 64 << 20, Commands = 8192;

    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [QemuSidFact]
    public async Task Linux_keeps_32_commands_in_flight_and_one_interrupt_completes_several_of_them()
    {
        string disk = _folder.RandomFile("disk.img", DiskBytes), trap = _folder["trap"], relayed = _folder["relay"];
        await using var host = await Programs.StartReadyAsync("vmshunt-host", "--disk", disk, "--vfio-user", trap);
        var hash = await FileHash.OfAsync(disk, default);
        using var relay = new RegisterRelay(relayed, trap);
        await using var guest = await QemuGuest.BootLinuxOnAsync(QemuProgram.Sid, 1, QemuGuest.EmulatedDisk(relayed));
        Assert.Contains("NCQ (depth 32)", await guest.RunAsync("dmesg | grep -i ncq"), StringComparison.Ordinal);
        Assert.Equal("32", await guest.RunAsync("cat /sys/block/sda/device/queue_depth"));

        // One at a time: each completion is an interrupt of its own, at once.
        var before = relay.Counts;
        await guest.RunAsync("dd if=/dev/sda of=/dev/null bs=4k count=500 iflag=direct");
        Report("depth 1", relay.Counts - before);

        // The block layer splits each read into commands of 4 KiB, of which it has as many in flight as the disk takes.
        await guest.RunAsync("echo 4 > /sys/block/sda/queue/max_sectors_kb");
        before = relay.Counts;
        await guest.RunAsync("dd if=/dev/sda of=/dev/null bs=4M count=8 iflag=direct");
        var deep = relay.Counts - before;
        Report("depth 32", deep);
        Assert.InRange(deep.Commands, Commands, Commands + 200);
        Assert.InRange(deep.AccessesPerCommand, 2, 2.5);
        Assert.InRange(deep.ReadsPerCommand, 0, 0.3);

        Assert.Equal(hash, (await guest.RunAsync("sha256sum /dev/sda")).Split(' ')[0]);
        Assert.Empty(guest.LastErrors);
    }

    [QemuSidFact]
    public async Task Linux_queues_TRIM_and_recovers_from_a_command_that_fails_among_others()
    {
        const int bad = 2048 * 4096;
        string image = _folder.RandomFile("disk.img", DiskBytes), trap = _folder["trap"];
        await using var host = await Programs.StartReadyAsync("vmshunt-host", "--disk", image, "--vfio-user", trap);
        await using var guest = await QemuGuest.BootLinuxOnAsync(QemuProgram.Sid, 1, QemuGuest.EmulatedDisk(trap));
        // Linux has read the log of SEND FPDMA QUEUED, and not complained about it.
        Assert.DoesNotContain("Send/Recv", await guest.RunAsync("dmesg"), StringComparison.Ordinal);
        await guest.RunAsync($"blkdiscard -o {1 << 20} -l {4 << 20} /dev/sda");
        Assert.Equal("0", await guest.RunAsync($"dd if=/dev/sda bs=1M skip=1 count=4 iflag=direct 2>/dev/null | tr -d '\\0' | wc -c"));

        // The file ends earlier now: what lies behind its end fails, and nothing else does.
        using (var file = File.OpenHandle(image, FileMode.Open, FileAccess.Write, FileShare.ReadWrite)) RandomAccess.SetLength(file, bad);
        await guest.RunAsync(
            "i=0; while [ $i -lt 8 ]; do dd if=/dev/sda of=/got-$i bs=4k count=100 skip=$((i * 100)) iflag=direct 2>/dev/null & i=$((i + 1)); done; "
            + "dd if=/dev/sda of=/dev/null bs=4k count=1 skip=3000 iflag=direct 2>/dev/null && exit 1; wait");
        for (var i = 0; i < 8; i++)
            Assert.Equal(await guest.RunAsync($"sha256sum < /got-{i}"), await guest.RunAsync($"dd if=/dev/sda bs=4k count=100 skip={i * 100} iflag=direct 2>/dev/null | sha256sum"));
        Assert.Empty(guest.LastErrors);
    }

    private void Report(string depth, RegisterCounts counts) => output.WriteLine(string.Create(
        CultureInfo.InvariantCulture,
        $"{depth}: {counts.Commands} commands, {counts.AccessesPerCommand:0.00} accesses each, of which {counts.ReadsPerCommand:0.00} reads that wait"));
}
