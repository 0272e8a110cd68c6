using VmShunt.Guest.Firmware.Boot;
using VmShunt.Guest.Firmware.Partitions;
using VmShunt.Perf.Launch;
using VmShunt.Perf.Launch.Model;

namespace VmShunt.Perf.Disks;

/// <summary>The disk of a launch without <c>--disk</c>: a boot partition with the OS image, a data partition and a dump partition.</summary>
internal sealed record DefaultDisk(long Bytes, int ImageFiles)
{
    private const int Sector = 512, ImageSector = 8, Seed = 20071;
    private const long DataBytes = 64 << 20, DumpOverhead = 4 << 20;

    /// <summary>Creates the disk image.</summary>
    /// <param name="path">The image; must not exist.</param>
    /// <param name="programFolder">The folder of the guest's assemblies.</param>
    /// <param name="memoryBytes">The size of the guest's memory; the dump partition must hold it.</param>
    internal static DefaultDisk Make(string path, string programFolder, long memoryBytes)
    {
        IReadOnlyList<string> assemblies = KernelFiles.Find(programFolder);
        var image = OsImage.Write(assemblies);
        var record = BootRecord.Describe(image, ImageSector, OsImage.KernelEntryAssembly).Format();

        GptPartition boot = After(GptLayout.AlignmentSectors, PartitionTypes.Boot, "boot", (ImageSector * Sector) + image.Length);
        GptPartition data = After(boot.LastSector + 1, PartitionTypes.LinuxData, "data", DataBytes);
        GptPartition dump = After(data.LastSector + 1, PartitionTypes.Dump, "dump", memoryBytes + DumpOverhead);
        var sectors = GptLayout.DiskSectors(dump.LastSector + 1);
        GptLayout layout = GptLayout.Create(sectors, Guid.NewGuid(), [boot, data, dump]);

        try
        {
            using var file = File.OpenHandle(path, FileMode.CreateNew, FileAccess.Write);
            RandomAccess.SetLength(file, (long)sectors * Sector);
            RandomAccess.Write(file, layout.Head.Span, 0);
            RandomAccess.Write(file, layout.Tail.Span, (long)layout.TailSector * Sector);
            RandomAccess.Write(file, record, (long)boot.FirstSector * Sector);
            RandomAccess.Write(file, image, ((long)boot.FirstSector + ImageSector) * Sector);
            // One large write, so that the page cache holds the data in large folios, as read-ahead does.
            var content = new byte[DataBytes];
            new DiskContent(Seed).Fill(content);
            RandomAccess.Write(file, content, (long)data.FirstSector * Sector);
        }
        catch (IOException e)
        {
            throw new LaunchException($"the disk {path} ({MemorySize.Format((long)sectors * Sector)}) cannot be created: {e.Message}", e);
        }
        return new DefaultDisk((long)sectors * Sector, assemblies.Count);
    }

    private static GptPartition After(ulong sector, Guid type, string name, long bytes) =>
        new(type, Guid.NewGuid(), name, GptLayout.AlignUp(sector), GptLayout.AlignUp((ulong)(bytes + Sector - 1) / Sector));
}
