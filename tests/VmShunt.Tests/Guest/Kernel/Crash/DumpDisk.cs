using Microsoft.Extensions.Logging.Abstractions;
using VmShunt.BlockBackend.Disk;
using VmShunt.Guest.Firmware.Partitions;

namespace VmShunt.Tests.Guest.Kernel.Crash;

/// <summary>A disk image with a dump partition, which kernels boot from one after another.</summary>
internal sealed class DumpDisk : IDisposable
{
    private readonly string _image = Path.Combine(Path.GetTempPath(), $"vmshunt-dump-{Guid.NewGuid():N}.img");

    internal DumpDisk(ulong dumpSectors = 2 * RunningKernel.MemoryBytes / 512)
    {
        Partition = new GptPartition(PartitionTypes.Dump, Guid.NewGuid(), "dump", GptLayout.AlignmentSectors, dumpSectors);
        var sectors = GptLayout.DiskSectors(Partition.LastSector + 1);
        var layout = GptLayout.Create(sectors, Guid.NewGuid(), [Partition]);
        using var file = File.Create(_image);
        file.SetLength((long)sectors * 512);
        file.Write(layout.Head.Span);
        file.Position = (long)layout.TailSector * 512;
        file.Write(layout.Tail.Span);
    }

    internal GptPartition Partition { get; }

    /// <summary>Changes a byte of the dump's core.</summary>
    internal void Damage()
    {
        using var file = File.Open(_image, FileMode.Open);
        file.Position = (long)Partition.FirstSector * 512 + RunningKernel.MemoryBytes / 2;
        var value = file.ReadByte();
        file.Position--;
        file.WriteByte((byte)~value);
    }

    internal RunningKernel Boot() => RunningKernel.OnBoard(FilePortDriver.Open(_image, false, false, NullLogger.Instance));

    public void Dispose() => File.Delete(_image);
}
