using System.Reflection;
using System.Reflection.Emit;
using Microsoft.Extensions.Logging.Abstractions;
using VmShunt.BlockBackend.Disk;
using VmShunt.Guest.Firmware.Boot;
using VmShunt.Guest.Firmware.Partitions;
using VmShunt.Guest.Loader;
using VmShunt.PhysicalMachine;
using BootLoader = VmShunt.Guest.Loader.Loader;

namespace VmShunt.Tests.Guest.Loader;

/// <summary>Boots a machine from a disk whose kernel is an assembly of a few instructions.</summary>
public sealed class LoaderTests : IDisposable
{
    private const ulong Boot = GptLayout.AlignmentSectors, BootSectors = 256;
    private const string KernelName = "TinyKernel";

    private readonly string _folder = Directory.CreateTempSubdirectory("vmshunt-boot-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void The_kernel_on_the_boot_partition_runs_with_the_arguments_and_its_result_is_the_exit_code() =>
        Assert.Equal(3, Run(static _ => { }, "one", "two", "three"));

    [Fact]
    public void A_damaged_boot_record_is_an_error_that_names_its_sector()
    {
        var failure = Assert.Throws<BootException>(() => Run(static disk => disk[(int)Boot * 512 + 20] ^= 1));
        Assert.StartsWith("the boot record at sector 2048 is damaged: ", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_kernel_that_does_not_match_its_hash_is_not_run()
    {
        var failure = Assert.Throws<BootException>(() => Run(static disk => disk[((int)Boot + 1) * 512 + 100] ^= 1));
        Assert.Contains("does not match its SHA-256", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void An_assembly_without_an_entry_point_is_not_a_kernel()
    {
        var failure = Assert.Throws<BootException>(() => RunKernel(static _ => { }, "Some.Type"));
        Assert.Equal($"{KernelName} is not a kernel: it has no {BootParameters.EntryType}.{BootParameters.EntryMethod}", failure.Message);
    }

    private int Run(Action<byte[]> damage, params string[] arguments) => RunKernel(damage, BootParameters.EntryType, arguments);

    private int RunKernel(Action<byte[]> damage, string entryType, params string[] arguments)
    {
        var content = BootDisk(entryType);
        damage(content);
        var image = Path.Combine(_folder, "disk.img");
        File.WriteAllBytes(image, content);
        using var port = FilePortDriver.Open(image, true, false, NullLogger.Instance);
        using var disk = new VirtualizationDriver(new HostClassDriver(port, NullLogger.Instance), "BOOT", 512);
        using var board = new Board(disk, 16 << 20);
        return BootLoader.Boot(board, arguments);
    }

    private byte[] BootDisk(string entryType)
    {
        var assembly = Path.Combine(_folder, KernelName + ".dll");
        WriteKernel(assembly, entryType);
        var kernel = OsImage.Write([assembly]);
        var sectors = GptLayout.DiskSectors(Boot + BootSectors);
        var layout = GptLayout.Create(sectors, Guid.NewGuid(), [new GptPartition(PartitionTypes.Boot, Guid.NewGuid(), "boot", Boot, BootSectors)]);
        var content = new byte[sectors * 512];
        layout.Head.CopyTo(content);
        layout.Tail.CopyTo(content.AsMemory((int)layout.TailSector * 512));
        BootRecord.Describe(kernel, 1, KernelName).Format().CopyTo(content, (int)Boot * 512);
        kernel.CopyTo(content, ((int)Boot + 1) * 512);
        return content;
    }

    // static int Start(BootParameters boot) => boot.CommandLine.Count;
    private static void WriteKernel(string path, string entryType)
    {
        var assembly = new PersistedAssemblyBuilder(new AssemblyName(KernelName), typeof(object).Assembly);
        var type = assembly.DefineDynamicModule(KernelName).DefineType(entryType, TypeAttributes.Public | TypeAttributes.Abstract | TypeAttributes.Sealed);
        var start = type.DefineMethod(BootParameters.EntryMethod, MethodAttributes.Public | MethodAttributes.Static, typeof(int), [typeof(BootParameters)]);
        var code = start.GetILGenerator();
        code.Emit(OpCodes.Ldarg_0);
        code.Emit(OpCodes.Callvirt, typeof(BootParameters).GetProperty(nameof(BootParameters.CommandLine))!.GetMethod!);
        code.Emit(OpCodes.Callvirt, typeof(IReadOnlyCollection<string>).GetProperty("Count")!.GetMethod!);
        code.Emit(OpCodes.Ret);
        type.CreateType();
        assembly.Save(path);
    }
}
