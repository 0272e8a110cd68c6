using Microsoft.Extensions.Logging.Abstractions;
using VmShunt.BlockBackend;
using VmShunt.BlockBackend.Disk;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.HostPartition.Block.Disk;

/// <summary>What VM-H logs about a disk's engine: a fast path is never lost without a reason.</summary>
public class EngineChoiceTests
{
    [Theory]
    [InlineData(nameof(CacheMode.WriteBack), nameof(DiskEngine.Auto), "engine mmap, guarded copy with")]
    [InlineData(nameof(CacheMode.WriteThrough), nameof(DiskEngine.Mmap), "engine mmap, guarded copy with")]
    [InlineData(nameof(CacheMode.WriteBack), nameof(DiskEngine.PRead), "engine pread, because --engine pread was given")]
    [InlineData(nameof(CacheMode.Direct), nameof(DiskEngine.PRead), "engine pread, because --engine pread was given")]
    public void A_file_names_its_engine_and_why_not_a_faster_one(string cache, string engine, string expected)
    {
        using var image = new DiskImage(1 << 20);
        using var port = Open(image, cache, engine);
        Assert.StartsWith(expected, port.Engine, StringComparison.Ordinal);
    }

    // Containers may forbid io_uring; then the line says so.
    [Theory]
    [InlineData(nameof(CacheMode.Direct), nameof(DiskEngine.Auto))]
    [InlineData(nameof(CacheMode.WriteBack), nameof(DiskEngine.Uring))]
    public void A_queued_file_names_io_uring_exactly_where_it_can_be_used(string cache, string engine)
    {
        using var image = new DiskImage(1 << 20);
        using var port = Open(image, cache, engine);
        using var ram = new TestMemory(4096);
        using var queue = port.TryOpenQueue(8, ram.Memory);
        Assert.StartsWith(queue is null ? "engine pread, because io_uring is not available" : "engine uring,", port.Engine, StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_with_holes_on_tmpfs_is_not_mapped_and_says_so()
    {
        const string tmpfs = "/dev/shm";
        if (!Directory.Exists(tmpfs) || new DriveInfo(tmpfs).DriveFormat != "tmpfs") return;
        var path = Path.Combine(tmpfs, $"disk-{Guid.NewGuid():N}.img");
        try
        {
            using (var file = File.Create(path)) file.SetLength(1 << 20);
            using var port = DiskSpec.Open(path, readOnly: false, CacheMode.WriteBack, NullLogger.Instance);
            Assert.StartsWith("engine pread, because the file has holes on tmpfs", port.Engine, StringComparison.Ordinal);
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Theory]
    [InlineData("memory:1M", "engine memory, guarded copy")]
    [InlineData("null:1M", "engine null, ")]
    public void A_disk_without_a_file_names_its_engine(string spec, string expected)
    {
        using var port = DiskSpec.Open(spec, readOnly: false, CacheMode.WriteBack, NullLogger.Instance);
        Assert.StartsWith(expected, port.Engine, StringComparison.Ordinal);
    }

    private static PortDriver Open(DiskImage image, string cache, string engine) =>
        DiskSpec.Open(image.Path, readOnly: false, Enum.Parse<CacheMode>(cache), NullLogger.Instance, Enum.Parse<DiskEngine>(engine));
}
