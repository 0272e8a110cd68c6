using VmShunt.Guest.Firmware.Boot;
using VmShunt.Guest.Firmware.Partitions;
using VmShunt.Perf.Disks;
using VmShunt.Perf.Measure;
using VmShunt.Ring.Memory;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Perf;

public class DisksTests
{
    [Fact]
    public void The_default_disk_has_a_boot_image_data_and_a_dump_partition_for_the_guests_memory()
    {
        DirectoryInfo folder = Directory.CreateTempSubdirectory("vmshunt-test-");
        try
        {
            var path = Path.Combine(folder.FullName, "disk.img");
            DefaultDisk made = DefaultDisk.Make(path, AppContext.BaseDirectory, 64 << 20);
            var disk = new MemoryDisk((ulong)made.Bytes / 512);
            File.ReadAllBytes(path).CopyTo(disk.Content, 0);

            Assert.True(Gpt.TryRead(disk, out Gpt? table, out var error), error);
            Assert.Equal([PartitionTypes.Boot, PartitionTypes.LinuxData, PartitionTypes.Dump], table.Partitions.Select(static p => p.Type));
            Assert.All(table.Partitions, static p => Assert.Equal(0UL, p.FirstSector % 2048));
            Assert.True(table.Partitions[2].SectorCount * 512 >= (64 << 20) + (4 << 20));

            GptPartition boot = table.Partitions[0];
            var first = new byte[512];
            disk.ReadSectors(boot.FirstSector, first);
            Assert.True(BootRecord.TryParse(first, boot.SectorCount, out BootRecord? record, out error), error);
            ReadOnlyMemory<byte> image = disk.Content.AsMemory((int)(boot.FirstSector + record.ImageSector) * 512, (int)record.ImageBytes);
            Assert.True(record.Matches(image.Span));
            Assert.Contains(record.EntryAssembly + ".dll", OsImage.Read(image).Keys);

            ReadOnlySpan<byte> data = disk.Content.AsSpan((int)table.Partitions[1].FirstSector * 512, 64 << 20);
            for (var at = 0; at < data.Length; at += 4096) Assert.True(data.Slice(at, 4096).ContainsAnyExcept((byte)0), $"a page of zeros at {at}");
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    [Fact]
    public void The_kernels_files_are_its_dependency_closure_without_the_loader()
    {
        string[] names = [.. KernelFiles.Find(AppContext.BaseDirectory).Select(static file => Path.GetFileName(file))];
        Assert.Equal("VmShunt.Guest.dll", names[0]);
        Assert.Contains("VmShunt.Ring.dll", names);
        Assert.Contains("System.CommandLine.dll", names);
        Assert.DoesNotContain("vmshunt-guest.dll", names);
        Assert.All(KernelFiles.Find(AppContext.BaseDirectory), static file => Assert.True(File.Exists(file), file));
    }

    [Fact]
    public void The_same_seed_makes_the_same_content()
    {
        var one = new byte[1 << 18];
        var other = new byte[1 << 18];
        new DiskContent(3).Fill(one);
        new DiskContent(3).Fill(other);
        Assert.Equal(one, other);
    }

    [Theory]
    [InlineData(512, 512, 512)]
    [InlineData(100_000, 4096, 65536)]
    [InlineData(64 << 20, 4096, 1 << 20)]
    public void Block_sizes_fit_small_disks(int bytes, int small, int large)
    {
        IReadOnlyList<Workload> matrix = Workload.Matrix(quick: true, mayWrite: false, new SectorRange(0, bytes / 512));
        Assert.Equal([small, small, large], matrix.Select(static w => w.BlockSize));
    }

    [Theory]
    [InlineData("64M", 64L << 20)]
    [InlineData("2g", 2L << 30)]
    [InlineData("4096", 4096L)]
    [InlineData("", -1L)]
    [InlineData("M", -1L)]
    [InlineData("-1M", -1L)]
    [InlineData("9999999999G", -1L)]
    public void Sizes_with_suffixes_are_parsed(string text, long bytes) =>
        Assert.Equal(bytes, ByteSize.TryParse(text, out var value) ? value : -1);

    [Fact]
    public void The_direct_path_reads_the_file_and_counts_its_requests()
    {
        var path = Path.GetTempFileName();
        try
        {
            File.WriteAllBytes(path, new byte[1 << 20]);
            using var direct = new DirectPath(path, mayWrite: false, new SectorRange(0, 2048));
            var result = direct.Measure(new Workload("randread", 4096, 32), TimeSpan.FromMilliseconds(50));
            Assert.True(result.Requests > 0 && result.Iops > 0 && result.P50Microseconds <= result.P99Microseconds);
            Assert.Equal((0d, 0d, 0d), (result.TrapsPerRequest, result.KicksPerRequest, result.AllocatedBytesPerRequest));
        }
        finally
        {
            File.Delete(path);
        }
    }
}
