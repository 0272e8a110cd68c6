using System.Globalization;
using VmShunt.EndToEnd.Processes;
using VmShunt.Perf.Disks;
using Xunit.Abstractions;

namespace VmShunt.EndToEnd.Qemu;

/// <summary>
/// VM-H's emulated disk beside QEMU's own <c>ich9-ahci</c>, which lives in QEMU's process: two controllers of one Linux guest
/// in QEMU from sid, each with a copy of one image in the page cache, read by turns.
/// </summary>
public sealed class EmulationCostTests(ITestOutputHelper output) : IDisposable
{
    private const int DiskBytes = 512 << 20, Turns = 9;

    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    // The block layer splits a read of 4 MiB into commands of 4 KiB, of which 32 are in flight.
    [LongQemuSidFact]
    public async Task Linux_reads_the_emulated_disk_beside_QEMUs_own_controller()
    {
        string disk = _folder.RandomFile("disk.img", DiskBytes), copy = _folder["copy.img"], trap = _folder["trap"];
        File.Copy(disk, copy);
        var hash = await FileHash.OfAsync(disk, default);
        await using var host = await Programs.StartReadyAsync("vmshunt-host", "--disk", disk, "--vfio-user", trap);
        await using var guest = await QemuGuest.BootLinuxOnAsync(
            QemuProgram.Sid, 1,
            [
                .. QemuGuest.EmulatedDisk(trap),
                "-device", "ich9-ahci,id=own", "-drive", $"if=none,id=copy,format=raw,file={copy}", "-device", "ide-hd,bus=own.0,drive=copy",
            ]);
        var own = await guest.RunAsync("grep -l QEMU /sys/block/sd*/device/model | cut -d/ -f4");
        var ours = own == "sda" ? "sdb" : "sda";
        foreach (var name in new[] { ours, own }) Assert.Equal(hash, (await guest.RunAsync($"sha256sum /dev/{name}")).Split(' ')[0]);
        var figures = new List<string>
        {
            await CompareAsync("1 MiB, in order", 1 << 20, 1 << 20, 512, maxSectorsKb: null),
            await CompareAsync("4 KiB, 32 in flight", 4096, 4 << 20, 32, maxSectorsKb: 4),
            await CompareAsync("4 KiB, one in flight", 4096, 4096, 4000, maxSectorsKb: 4),
        };
        LongForm.Keep(nameof(EmulationCostTests), string.Join("; ", figures));

        async Task<string> CompareAsync(string what, int bytes, int block, int count, int? maxSectorsKb)
        {
            if (maxSectorsKb is not null) await guest.RunAsync($"for d in {ours} {own}; do echo {maxSectorsKb} > /sys/block/$d/queue/max_sectors_kb; done");
            var ratios = new List<double>();
            var rates = new List<double>();
            for (var turn = 0; turn < Turns; turn++)
            {
                var oursFirst = turn % 2 == 0;
                var first = await RateAsync(oursFirst ? ours : own);
                var second = await RateAsync(oursFirst ? own : ours);
                var (here, there) = oursFirst ? (first, second) : (second, first);
                ratios.Add(here / there);
                rates.Add(here);
            }
            ratios.Sort();
            rates.Sort();
            var line = string.Create(CultureInfo.InvariantCulture, $"{what}: {ratios[Turns / 2]:0.00} × ich9-ahci ({ratios[0]:0.00} to {ratios[^1]:0.00}), {rates[Turns / 2]:0} commands per second");
            output.WriteLine(line);
            return line;

            async Task<double> RateAsync(string name)
            {
                var said = await guest.RunAsync($"cut -d' ' -f1 /proc/uptime; dd if=/dev/{name} of=/dev/null bs={block} count={count} iflag=direct 2>/dev/null; cut -d' ' -f1 /proc/uptime");
                double[] seconds = [.. said.Split('\n', StringSplitOptions.TrimEntries).Select(static line => double.Parse(line, CultureInfo.InvariantCulture))];
                return (double)count * block / bytes / (seconds[1] - seconds[0]);
            }
        }
    }
}
