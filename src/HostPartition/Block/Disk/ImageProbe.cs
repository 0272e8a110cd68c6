using Microsoft.Extensions.Logging;
using Microsoft.Win32.SafeHandles;
using VmShunt.BlockBackend.Log;
using VmShunt.Ring.Files;

namespace VmShunt.BlockBackend.Disk;

/// <summary>
/// Recognizes files that are not raw images. Served as raw, such a file shows the guest its own structure instead of the
/// disk, and the guest overwrites it.
/// </summary>
internal static class ImageProbe
{
    private const int SectorBytes = 512;

    /// <summary>Checks a regular file that is to be served as raw.</summary>
    /// <param name="file">The file, not yet opened for direct I/O.</param>
    /// <param name="path">Its path, for messages.</param>
    /// <param name="bytes">Its size.</param>
    /// <param name="log">For a warning.</param>
    /// <exception cref="IOException">It has another format; the message says how to serve it.</exception>
    internal static void Check(SafeFileHandle file, string path, long bytes, ILogger log)
    {
        Span<byte> sector = stackalloc byte[SectorBytes];
        sector.Clear();
        DiskFile.Read(file, sector, 0);
        // A guest encrypts its disk itself, so this is usual.
        if (sector.StartsWith((ReadOnlySpan<byte>)[(byte)'L', (byte)'U', (byte)'K', (byte)'S', 0xba, 0xbe])) log.DiskIsEncrypted(path);
        var (name, driver) = FindAtStart(sector);
        if (name is null && bytes >= SectorBytes)
        {
            sector.Clear();
            DiskFile.Read(file, sector, (bytes - 1) / SectorBytes * SectorBytes);
            // A fixed VHD is a raw disk with a footer.
            if (sector.StartsWith("conectix"u8)) (name, driver) = ("VHD", "vpc");
        }
        if (name is null) return;
        throw new IOException(
            $"the disk {path} is a {name} image, not a raw one: serve it with 'qemu-nbd --persistent --shared=0 --format={driver} --socket=/run/disk.sock {path}' (or qemu-storage-daemon), "
            + "and start VM-H with --disk 'nbd+unix:///?socket=/run/disk.sock'; if it is the raw disk of a guest that holds such an image, say --format raw");
    }

    private static (string? Name, string Driver) FindAtStart(ReadOnlySpan<byte> sector) =>
        sector.StartsWith((ReadOnlySpan<byte>)[(byte)'Q', (byte)'F', (byte)'I', 0xfb]) ? ("qcow2", "qcow2")
        : sector.StartsWith("KDMV"u8) || sector.StartsWith("COWD"u8) || sector.StartsWith("# Disk DescriptorFile"u8) ? ("VMDK", "vmdk")
        : sector.StartsWith("vhdxfile"u8) ? ("VHDX", "vhdx")
        : sector.StartsWith("conectix"u8) ? ("VHD", "vpc")
        : (null, "");
}
