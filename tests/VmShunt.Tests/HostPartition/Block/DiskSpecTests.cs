using Microsoft.Extensions.Logging.Abstractions;
using VmShunt.BlockBackend;
using VmShunt.BlockBackend.Disk;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.HostPartition.Block;

public sealed class DiskSpecTests
{
    private static PortDriver Open(string spec, CacheMode cache = CacheMode.WriteBack, DiskEngine engine = DiskEngine.Auto, bool readOnly = false) =>
        DiskSpec.Open(spec, readOnly, cache, NullLogger.Instance, engine);

    [Theory]
    [InlineData("memory:64M", 64L << 20)]
    [InlineData("null:1T", 1L << 40)]
    [InlineData("memory:700", 700)]
    public void A_size_makes_a_disk_without_a_file(string spec, long bytes)
    {
        using var port = Open(spec);
        Assert.Equal((bytes, true, false), (port.Bytes, port.NeverBlocks, port.IsReadOnly));
    }

    [Fact]
    public void Any_other_text_is_the_path_of_an_image()
    {
        using var image = new DiskImage(4096);
        using var port = Open(image.Path, readOnly: true);
        Assert.Equal((image.Path, 4096, true), (port.Description, port.Bytes, port.IsReadOnly));
        Assert.Contains("cannot open the disk /nonexistent/disk", Assert.Throws<IOException>(() => Open("/nonexistent/disk")).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("memory:lots", "a size such as 64M is expected after memory:")]
    [InlineData("memory:0", "a size such as 64M is expected after memory:")]
    [InlineData("null:", "a size such as 64M is expected after null:")]
    [InlineData("nbd://", "nbd+unix:///EXPORT?socket=PATH is expected")]
    public void An_invalid_spec_is_rejected_with_the_expected_form(string spec, string reason) => ExpectRejected(reason, () => Open(spec));

    [Fact]
    public void Options_that_need_a_file_are_rejected_for_other_disks()
    {
        ExpectRejected("--cache direct bypasses the page cache, which memory:1M does not use", () => Open("memory:1M", CacheMode.Direct));
        ExpectRejected("--engine applies to images and block devices only; null:1M is neither", () => Open("null:1M", engine: DiskEngine.Uring));
        ExpectRejected("--engine applies to images and block devices only; nbd://host/x is neither", () => Open("nbd://host/x", engine: DiskEngine.PRead));
    }

    [Fact]
    public void Mmap_and_direct_exclude_each_other() =>
        ExpectRejected("--engine mmap reads from the page cache, which --cache direct bypasses", () => Open("disk.img", CacheMode.Direct, DiskEngine.Mmap));

    private static void ExpectRejected(string reason, Func<PortDriver> open) =>
        Assert.Contains(reason, Assert.Throws<FormatException>(() => open().Dispose()).Message, StringComparison.Ordinal);
}
