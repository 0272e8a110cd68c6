using VmShunt.EndToEnd.Disk;
using VmShunt.EndToEnd.Processes;
using VmShunt.Perf.Disks;

namespace VmShunt.EndToEnd.Samples;

/// <summary>The sample of the driver package, as it was built with the solution.</summary>
public sealed class ReadDiskTests : IDisposable
{
    // Not a multiple of the sample's buffer.
    private const int DiskBytes = (5 << 20) + 4096;

    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [FactIfInstalled("qemu-storage-daemon")]
    public async Task It_prints_the_hash_of_a_disk_of_qemu_storage_daemon()
    {
        string disk = _folder.RandomFile("disk.img", DiskBytes), socket = _folder["ring"];
        await using var daemon = await BusOnlyTests.StartDaemonAsync(disk, socket);
        await PrintsTheHashAsync(disk, socket);
    }

    [Fact]
    public async Task It_prints_the_hash_of_a_disk_of_VM_H()
    {
        string disk = _folder.RandomFile("disk.img", DiskBytes), socket = _folder["ring"];
        await using var host = await Programs.StartReadyAsync("vmshunt-host", "--disk", disk, "--vhost-user", socket);
        await PrintsTheHashAsync(disk, socket);
    }

    [Fact]
    public async Task Without_a_back_end_it_fails_and_says_what_to_do()
    {
        var result = await Programs.RunAsync("ReadDisk", _folder["missing"]);
        Assert.NotEqual(0, result.ExitCode);
        Assert.Contains("start the back-end first", result.ErrorText, StringComparison.Ordinal);
    }

    [Fact]
    public void It_has_at_most_20_lines()
    {
        var lines = File.ReadLines(Path.Combine(Repository.Root, "samples", "ReadDisk", "Program.cs"))
            .Where(static line => line.Trim() is { Length: > 0 } text && !text.StartsWith("using ", StringComparison.Ordinal) | text.StartsWith("using var", StringComparison.Ordinal));
        Assert.InRange(lines.Count(), 5, 20);
    }

    private static async Task PrintsTheHashAsync(string disk, string socket)
    {
        var result = await Programs.RunAsync("ReadDisk", socket);
        Assert.Equal((0, ""), (result.ExitCode, result.ErrorText));
        Assert.Equal(await FileHash.OfAsync(disk, default), Assert.Single(result.Output));
    }
}
