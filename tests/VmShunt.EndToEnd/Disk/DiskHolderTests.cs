using VmShunt.EndToEnd.Processes;

namespace VmShunt.EndToEnd.Disk;

/// <summary>Who holds the disk, by the descriptors and mappings of all three processes.</summary>
public sealed class DiskHolderTests(OwnDisk own) : IClassFixture<OwnDisk>, IDisposable
{
    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("mmap")]
    [InlineData("pread")]
    public async Task VM_H_alone_has_the_disk_and_has_it_once(string engine)
    {
        var disk = own.CopyTo(_folder);
        await using var machine = await RunningMachine.BootAsync(disk, hostOptions: ["--engine", engine]);
        foreach (var (mode, stack) in ((string, string)[])[("emulating", "emulating"), ("enlightened", "enlightened"), ("alternate", "emulating")])
        {
            await machine.ModeAsync(mode);
            await machine.AskAsync($"hash --stack {stack} --bytes {1 << 20}");
            Assert.Equal((1, engine == "mmap"), (Descriptors(machine.Host.Id, disk), Mappings(machine.Host.Id, disk) > 0));
            foreach (var other in (int[])[machine.Hypervisor.Id, machine.Guest.Id])
                Assert.Equal((0, 0), (Descriptors(other, disk), Mappings(other, disk)));
        }
    }

    private static int Descriptors(int process, string file) =>
        Directory.EnumerateFileSystemEntries($"/proc/{process}/fd").Count(link => TargetOf(link) == file);

    // A descriptor may have been closed since it was listed.
    private static string? TargetOf(string link)
    {
        try
        {
            return new FileInfo(link).LinkTarget;
        }
        catch (IOException)
        {
            return null;
        }
    }

    private static int Mappings(int process, string file) =>
        File.ReadLines($"/proc/{process}/maps").Count(line => line.EndsWith(" " + file, StringComparison.Ordinal));
}
