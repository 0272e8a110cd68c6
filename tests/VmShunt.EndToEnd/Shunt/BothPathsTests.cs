using VmShunt.EndToEnd.Processes;
using VmShunt.Perf.Disks;

namespace VmShunt.EndToEnd.Shunt;

public sealed class BothPathsTests : IDisposable
{
    // Odd on purpose, and larger than one chunk of a transfer.
    private const int FirstSector = 7, Sectors = 5003, DiskBytes = 4 << 20;

    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private static string StackOf(string mode) => mode == "enlightened" ? "enlightened" : "emulating";

    private async Task<string> ReadBackAsync(RunningMachine machine, string mode)
    {
        await machine.ModeAsync(mode);
        await machine.AskAsync($"read --stack {StackOf(mode)} --sector {FirstSector} --count {Sectors} --output {_folder["read"]}");
        return await FileHash.OfAsync(_folder["read"], default);
    }

    [Fact]
    public async Task What_one_path_writes_every_other_path_reads_and_the_file_holds()
    {
        var disk = _folder.RandomFile("disk.img", DiskBytes);
        await using var machine = await RunningMachine.BootAsync(disk);
        var seed = 100;
        foreach (var writer in new[] { "emulating", "enlightened", "alternate" })
        {
            var content = _folder.RandomFile("content", Sectors * 512, seed++);
            var written = await FileHash.OfAsync(content, default);
            await machine.ModeAsync(writer);
            await machine.AskAsync($"write --stack {StackOf(writer)} --sector {FirstSector} --input {content}");

            var held = new byte[Sectors * 512];
            using (var file = File.OpenHandle(disk, options: FileOptions.None)) RandomAccess.Read(file, held, FirstSector * 512);
            Assert.Equal(await File.ReadAllBytesAsync(content), held);
            foreach (var reader in new[] { "emulating", "enlightened", "alternate" })
            {
                Assert.Equal(written, await ReadBackAsync(machine, reader));
                await machine.AskAsync($"flush --stack {StackOf(reader)}");
            }
        }
        // In enlightened mode the emulating stack uses the shunted path.
        await machine.ModeAsync("enlightened");
        await machine.AskAsync($"fill --stack emulating --sector {FirstSector} --count {Sectors} --seed 5");
        await machine.AskAsync($"fill --stack enlightened --sector {FirstSector} --count {Sectors} --seed 5 --verify");
        await machine.ModeAsync("emulating");
        await machine.AskAsync($"fill --stack emulating --sector {FirstSector} --count {Sectors} --seed 5 --verify");
        Assert.Contains("does not have the pattern of seed 6", await machine.RefusalAsync($"fill --sector {FirstSector} --count {Sectors} --seed 6 --verify"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_read_only_disk_refuses_writes_alike_on_every_path_and_is_unchanged()
    {
        var disk = _folder.RandomFile("disk.img", DiskBytes);
        var before = (await FileHash.OfAsync(disk, default), File.GetLastWriteTimeUtc(disk));
        var content = _folder.RandomFile("content", 4096, seed: 5);
        await using var machine = await RunningMachine.BootAsync(disk, readOnly: true);
        // ATA cannot describe it; virtio can (VIRTIO_BLK_F_RO).
        await machine.ModeAsync("enlightened");
        Assert.True((await machine.InfoAsync()).Disk.ReadOnly);
        foreach (var command in new[] { $"write --sector 8 --input {content}", "fill --sector 8 --count 8", "discard --sector 8 --count 8", "zero --sector 8 --count 8" })
        {
            var refusals = new List<string>();
            foreach (var (mode, stack) in new[] { ("emulating", "emulating"), ("alternate", "emulating"), ("enlightened", "emulating"), ("enlightened", "enlightened") })
            {
                await machine.ModeAsync(mode);
                var refusal = await machine.RefusalAsync($"{command} --stack {stack}");
                refusals.Add(refusal[refusal.IndexOf("': ", StringComparison.Ordinal)..]);
                // The next request on that path succeeds.
                await machine.AskAsync($"hash --stack {stack} --bytes 4096");
            }
            Assert.Contains("at sector 8 failed: IoError", refusals[0], StringComparison.Ordinal);
            Assert.All(refusals, refusal => Assert.Equal(refusals[0], refusal));
        }
        Assert.Equal(before, (await FileHash.OfAsync(disk, default), File.GetLastWriteTimeUtc(disk)));
    }

    [Fact]
    public async Task Sectors_beyond_the_disk_are_refused_alike_on_every_path()
    {
        await using var machine = await RunningMachine.BootAsync(_folder.RandomFile("disk.img", DiskBytes));
        var refusals = new List<string>();
        foreach (var mode in new[] { "emulating", "alternate", "enlightened" })
        {
            await machine.ModeAsync(mode);
            refusals.Add((await machine.RefusalAsync($"read --sector {(DiskBytes / 512) - 1} --count 2 --output /dev/null")).Split("': ")[1]);
            Assert.Contains("are not on", await machine.RefusalAsync($"discard --sector {DiskBytes / 512} --count 1"), StringComparison.Ordinal);
        }
        Assert.All(refusals, refusal => Assert.Equal(refusals[0], refusal));
        Assert.Contains("are not on the disk", refusals[0], StringComparison.Ordinal);
    }
}
