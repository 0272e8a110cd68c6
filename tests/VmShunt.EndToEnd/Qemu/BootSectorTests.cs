using VmShunt.EndToEnd.Processes;

namespace VmShunt.EndToEnd.Qemu;

/// <summary>The firmware of a PC starts what lies on VM-H's disk.</summary>
public sealed class BootSectorTests : IDisposable
{
    private const int ExitCode = (0x10 << 1) | 1;
    private const string Message = "started from VM-H";

    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [TheoryIfInstalled("qemu-system-x86_64")]
    [InlineData(false)]
    [InlineData(true)]
    public async Task SeaBIOS_starts_a_boot_sector_from_VM_H(bool packed)
    {
        string disk = _folder["boot.img"], socket = _folder["ring"];
        using (var file = File.Create(disk))
        {
            file.Write(BootSector());
            file.SetLength(1 << 20);
        }
        await using var host = await Programs.StartReadyAsync("vmshunt-host", "--disk", disk, "--vhost-user", socket);
        await using var guest = QemuGuest.Start(QemuGuest.Disk(socket, packed));
        await guest.WaitForAsync(Message);
        await guest.Ended.WaitAsync(Until.Patience);
        Assert.Equal(ExitCode, guest.ExitCode);
    }

    // Real mode, at 0000:7C00: writes the message to the serial port COM1 and ends QEMU through its debug exit.
    private static byte[] BootSector()
    {
        var text = System.Text.Encoding.ASCII.GetBytes(Message + "\r\n\0");
        byte[] code =
        [
            0xfa, 0x31, 0xc0, 0x8e, 0xd8, // cli; xor ax, ax; mov ds, ax
            0xbe, 0x1c, 0x7c, // mov si, text
            0xac, 0x08, 0xc0, 0x74, 0x06, // next: lodsb; or al, al; jz end
            0xba, 0xf8, 0x03, 0xee, // mov dx, 3F8h; out dx, al
            0xeb, 0xf5, // jmp next
            0xba, 0x01, 0x05, 0xb0, 0x10, 0xee, 0xf4, // end: mov dx, 501h; mov al, 10h; out dx, al; hlt
            0xeb, 0xfe, // jmp $
        ];
        Assert.Equal(0x1c, code.Length);
        var sector = new byte[512];
        code.CopyTo(sector, 0);
        text.CopyTo(sector, code.Length);
        sector[510] = 0x55;
        sector[511] = 0xaa;
        return sector;
    }
}
