using VmShunt.EndToEnd.Processes;

namespace VmShunt.EndToEnd.Qemu;

/// <summary>The firmware of a PC starts what lies on VM-H's disk.</summary>
public sealed class BootSectorTests : IDisposable
{
    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [TheoryIfInstalled("qemu-system-x86_64")]
    [InlineData(false)]
    [InlineData(true)]
    public async Task SeaBIOS_starts_a_boot_sector_from_VM_H(bool packed)
    {
        string disk = _folder["boot.img"], socket = _folder["ring"];
        BootSector.WriteDisk(disk);
        await using var host = await Programs.StartReadyAsync("vmshunt-host", "--disk", disk, "--vhost-user", socket);
        await using var guest = QemuGuest.Start(QemuGuest.Disk(socket, packed));
        await guest.WaitForAsync(BootSector.Message);
        await guest.Ended.WaitAsync(Until.Patience);
        Assert.Equal(BootSector.ExitCode, guest.ExitCode);
    }
}
