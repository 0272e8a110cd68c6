using VmShunt.EndToEnd.Processes;
using VmShunt.Guest.Firmware.Partitions;
using VmShunt.Perf.Launch;

namespace VmShunt.EndToEnd.Boot;

public sealed class BootTests(OwnDisk own) : IClassFixture<OwnDisk>, IDisposable
{
    private const long BootRecordOffset = (long)GptLayout.AlignmentSectors * 512;
    private const long ImageOffset = BootRecordOffset + (8 * 512);

    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task The_kernel_comes_from_the_boot_partition_through_the_emulated_controller()
    {
        await using var machine = await RunningMachine.BootAsync(own.CopyTo(_folder));
        var info = await machine.InfoAsync();
        Assert.Equal(("image", "emulating"), (info.Boot, info.Mode));
        Assert.Equal(["boot", "data", "dump"], info.Partitions.Select(static p => p.Name));
        var boot = info.Partitions[0];
        Assert.Equal(BootRecordOffset, boot.FirstSector * 512);
        // The loader read the image by AHCI commands of at most 4 MiB, and each costs exits.
        Assert.True(machine.Statistics().Exits.MmioWrite > 10);
    }

    [Fact]
    public async Task A_disk_without_our_boot_partition_is_started_directly()
    {
        await using var machine = await RunningMachine.BootAsync(_folder.RandomFile("plain.img", 1 << 20), readOnly: true);
        var info = await machine.InfoAsync();
        Assert.Equal("direct", info.Boot);
        Assert.Empty(info.Partitions);
    }

    [Theory]
    [InlineData(ImageOffset, "does not match its SHA-256")]
    [InlineData(ImageOffset + 100_000, "does not match its SHA-256")]
    [InlineData(BootRecordOffset, "the boot record at sector 2048 is damaged: no boot record")]
    [InlineData(BootRecordOffset + 40, "the boot record at sector 2048 is damaged")]
    public async Task One_wrong_byte_on_the_boot_partition_is_found_and_nothing_is_started(long offset, string said)
    {
        var disk = DamagedDisk(offset);
        string trap = _folder["trap"], socket = _folder["hypervisor"];
        await using var host = await Programs.StartReadyAsync("vmshunt-host", "--disk", disk, "--vfio-user", trap);
        await using var hypervisor = await Programs.StartReadyAsync("vmshunt-hypervisor", "--socket", socket, "--device", $"disk0,vfio-user={trap}");
        var guest = await Programs.RunAsync("vmshunt-guest", "--hypervisor", socket, "info");
        Assert.NotEqual(0, guest.ExitCode);
        Assert.Empty(guest.Output);
        Assert.Contains(said, Assert.Single(guest.Errors), StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_launcher_names_the_guest_that_finds_its_boot_partition_damaged()
    {
        var disk = DamagedDisk(ImageOffset);
        var refused = await Assert.ThrowsAsync<LaunchException>(() => RunningMachine.BootAsync(disk));
        Assert.Contains("vmshunt-guest did not get ready", refused.Message, StringComparison.Ordinal);
    }

    private string DamagedDisk(long offset)
    {
        var disk = own.CopyTo(_folder);
        using var file = File.Open(disk, FileMode.Open, FileAccess.ReadWrite);
        file.Position = offset;
        var value = file.ReadByte();
        file.Position = offset;
        file.WriteByte((byte)(value ^ 1));
        return disk;
    }
}
