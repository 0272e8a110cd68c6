namespace VmShunt.EndToEnd.Qemu;

/// <summary>A boot sector that writes a message to the serial port and ends QEMU.</summary>
internal static class BootSector
{
    /// <summary>QEMU's exit code when the sector ran.</summary>
    internal const int ExitCode = (0x10 << 1) | 1;

    /// <summary>What the sector writes to the serial port.</summary>
    internal const string Message = "started from VM-H";

    /// <summary>Writes a disk of 1 MiB that starts with the sector.</summary>
    internal static void WriteDisk(string path)
    {
        using var file = File.Create(path);
        file.Write(Make());
        file.SetLength(1 << 20);
    }

    // Real mode, at 0000:7C00: writes the message to the serial port COM1 and ends QEMU through its debug exit.
    internal static byte[] Make()
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
        System.Diagnostics.Debug.Assert(code.Length == 0x1c, "mov si names the offset of the text");
        var sector = new byte[512];
        code.CopyTo(sector, 0);
        text.CopyTo(sector, code.Length);
        sector[510] = 0x55;
        sector[511] = 0xaa;
        return sector;
    }
}
