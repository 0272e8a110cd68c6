using System.Reflection;
using VmShunt.Guest.Firmware.Ahci;
using VmShunt.Guest.Firmware.Boot;
using VmShunt.Guest.Firmware.Machine;
using VmShunt.Guest.Firmware.Partitions;
using VmShunt.Trap.VmExit;

namespace VmShunt.Guest.Loader;

/// <summary>
/// The first program on a machine. Its only driver is a polled one for the disk's controller: it reads the kernel from the
/// boot partition, verifies it and starts it. Without a machine, a disk or a boot partition it starts the kernel installed
/// next to it.
/// </summary>
internal static class Loader
{
    // Low memory for the polled driver; the kernel does not allocate there.
    private const ulong WorkAddress = 0x10_0000;
    private const int WorkBytes = 1 << 20;

    internal static int Run(string[] args)
    {
        var options = LoaderOptions.Scan(args);
        if (options is null) return StartInstalled(new BootParameters(BootSource.Direct, args, null, null, null));

        using var partition = GuestPartition.Create(options.HypervisorSocket, (ulong)options.MemoryBytes, options.Processors, options.Wait);
        return Boot(new VirtualMachine(partition), args);
    }

    /// <summary>Boots a machine that was powered on.</summary>
    internal static int Boot(IMachine machine, string[] args)
    {
        var processor = machine.StartProcessor(0);
        var hba = AhciHba.FindAll(processor, machine.EcamAddress) is [var first, ..] ? first : null;
        if (hba is not null)
        {
            var disk = new PolledAhciDisk(processor, hba, machine.Memory, WorkAddress, WorkBytes);
            disk.Start();
            var image = ReadImage(disk, out var entry);
            disk.Stop();
            if (image is not null)
                return Start(new KernelImage(image).LoadFromAssemblyName(new AssemblyName(entry)), new BootParameters(BootSource.Image, args, machine, processor, hba));
        }
        return StartInstalled(new BootParameters(BootSource.Direct, args, machine, processor, hba));
    }

    private static IReadOnlyDictionary<string, byte[]>? ReadImage(PolledAhciDisk disk, out string entryAssembly)
    {
        entryAssembly = "";
        // A disk without a VmShunt boot partition is not an error.
        if (!Gpt.TryRead(disk, out var table, out _) || table.Find(PartitionTypes.Boot) is not { } boot) return null;
        var sector = new byte[BootRecord.Bytes];
        disk.ReadSectors(boot.FirstSector, sector);
        if (!BootRecord.TryParse(sector, boot.SectorCount, out var record, out var error))
            throw new BootException($"the boot record at sector {boot.FirstSector} is damaged: {error}");
        var image = new byte[(record.ImageBytes + BootRecord.Bytes - 1) / BootRecord.Bytes * BootRecord.Bytes];
        disk.ReadSectors(boot.FirstSector + record.ImageSector, image);
        var content = image.AsMemory(0, (int)record.ImageBytes);
        if (!record.Matches(content.Span)) throw new BootException("the OS image on the boot partition does not match its SHA-256; create the disk again");
        entryAssembly = record.EntryAssembly;
        return OsImage.Read(content);
    }

    private static int StartInstalled(BootParameters parameters) => Start(Assembly.Load(OsImage.KernelEntryAssembly), parameters);

    private static int Start(Assembly kernel, BootParameters parameters)
    {
        var start = kernel.GetType(BootParameters.EntryType)?.GetMethod(BootParameters.EntryMethod, [typeof(BootParameters)])
            ?? throw new BootException($"{kernel.GetName().Name} is not a kernel: it has no {BootParameters.EntryType}.{BootParameters.EntryMethod}");
        return start.CreateDelegate<Func<BootParameters, int>>()(parameters);
    }
}
