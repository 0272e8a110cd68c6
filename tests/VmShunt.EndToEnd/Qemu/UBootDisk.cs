using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;

namespace VmShunt.EndToEnd.Qemu;

/// <summary>
/// U-Boot as a PC's firmware, and a disk from which it boots our Linux: a partition with a FAT file system that has a script, the kernel
/// and the initramfs. The script writes a sector first.
/// </summary>
internal static class UBootDisk
{
    /// <summary>The sector that U-Boot writes, which is in no file.</summary>
    internal const int WrittenSector = 0x1f000;

    /// <summary>What the script fills the sector with: the bytes of the number 544f4f42h.</summary>
    private const string Word = "BOOT";

    private const int SectorBytes = 512, HeaderBytes = 64, PartsBytes = 8;

    // Beyond the 80 MiB in which Linux unpacks itself; U-Boot's own address for an initramfs lies in them.
    private const int InitramfsAddress = 128 << 20;

    // The 64-bit build reads the disk, too, but its zboot resets the machine.
    private static readonly string s_rom = Path.Combine(Repository.Root, "artifacts", "u-boot", "usr", "lib", "u-boot", "qemu-x86", "u-boot.rom");

    /// <summary>What the sector has once U-Boot wrote it.</summary>
    internal static string Written { get; } = string.Concat(Enumerable.Repeat(Word, SectorBytes / Word.Length));

    /// <summary>U-Boot as QEMU's options. The machine is the one of its device tree, and the last <c>-M</c> counts.</summary>
    internal static IEnumerable<string> Firmware => ["-M", "pc", "-bios", s_rom];

    /// <returns>What is missing, or null; in CI always null.</returns>
    internal static string? Missing() =>
        QemuSid.Missing() ?? LinuxGuest.Missing()
        ?? (Installed.IsContinuousIntegration || File.Exists(s_rom) ? null : "U-Boot is not unpacked: .ci/run does it");

    internal static async Task WriteAsync(string path, string arguments)
    {
        var script = path + ".scr";
        await File.WriteAllBytesAsync(script, Script(Commands(arguments)));
        await FatDisk.WriteAsync(path, [(script, "boot.scr"), (GuestKernel.Image!, "vmlinuz"), (Initramfs.File, "initrd")], isPartitioned: true);
    }

    // Not extlinux.conf: this U-Boot passes Linux a wrong size of the initramfs that it names.
    private static string Commands(string arguments) =>
        $$"""
        mw.l ${kernel_addr_r} 544f4f42 {{SectorBytes / Word.Length:x}}
        scsi write ${kernel_addr_r} {{WrittenSector:x}} 1
        load ${devtype} ${devnum}:${distro_bootpart} ${kernel_addr_r} vmlinuz
        setenv kernel_size ${filesize}
        load ${devtype} ${devnum}:${distro_bootpart} {{InitramfsAddress:x}} initrd
        setenv bootargs {{arguments}}
        zboot ${kernel_addr_r} ${kernel_size} {{InitramfsAddress:x}} ${filesize}

        """.ReplaceLineEndings("\n");

    // As mkimage writes it: a header (include/image.h of U-Boot, big-endian) for Linux (5), x86 (3) and a script (6), and the lengths
    // of the parts, of which there is one, up to a length of 0.
    private static byte[] Script(string commands)
    {
        var image = new byte[HeaderBytes + PartsBytes + commands.Length];
        var header = image.AsSpan(0, HeaderBytes);
        var data = image.AsSpan(HeaderBytes);
        BinaryPrimitives.WriteInt32BigEndian(data, commands.Length);
        Encoding.ASCII.GetBytes(commands, data[PartsBytes..]);
        BinaryPrimitives.WriteUInt32BigEndian(header, 0x27051956);
        BinaryPrimitives.WriteInt32BigEndian(header[12..], data.Length);
        BinaryPrimitives.WriteUInt32BigEndian(header[24..], Crc32(data));
        header[28] = 5;
        header[29] = 3;
        header[30] = 6;
        // Counted with this field 0.
        BinaryPrimitives.WriteUInt32BigEndian(header[4..], Crc32(header));
        return image;
    }

    // The checksum of a gzip member is the same one.
    private static uint Crc32(ReadOnlySpan<byte> data)
    {
        var member = new MemoryStream();
        using (var gzip = new GZipStream(member, CompressionLevel.Fastest, leaveOpen: true)) gzip.Write(data);
        return BinaryPrimitives.ReadUInt32LittleEndian(member.GetBuffer().AsSpan((int)member.Length - 8));
    }
}

/// <summary>As <see cref="QemuSidFactAttribute"/>, with U-Boot.</summary>
public sealed class UBootFactAttribute : FactAttribute
{
    public UBootFactAttribute() => Skip = UBootDisk.Missing();
}
