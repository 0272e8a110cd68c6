using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using VmShunt.BlockBackend;
using VmShunt.BlockBackend.Disk;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.HostPartition.Block.Disk;

/// <summary>A regular file with the structure of another image format is not served as raw, unless its owner says that it is.</summary>
public sealed class ImageProbeTests : IDisposable
{
    private readonly string _path = Path.GetTempFileName();
    private readonly LogLines _log = new();

    public void Dispose() => File.Delete(_path);

    [Theory]
    [InlineData("QFI\u00fb", 0, "qcow2", "qcow2")]
    [InlineData("KDMV", 0, "VMDK", "vmdk")]
    [InlineData("COWD", 0, "VMDK", "vmdk")]
    [InlineData("# Disk DescriptorFile", 0, "VMDK", "vmdk")]
    [InlineData("vhdxfile", 0, "VHDX", "vhdx")]
    [InlineData("conectix", 0, "VHD", "vpc")]
    [InlineData("conectix", 65536, "VHD", "vpc")]
    public void An_image_of_another_format_is_refused_with_the_lines_that_serve_it(string signature, int at, string name, string driver)
    {
        Write(signature, at);
        var refused = Assert.Throws<IOException>(() => HostDisk.Open(_path));
        Assert.Contains($"is a {name} image", refused.Message, StringComparison.Ordinal);
        Assert.Contains($"qemu-nbd --persistent --shared=0 --format={driver} --socket=/run/disk.sock {_path}", refused.Message, StringComparison.Ordinal);
        Assert.Contains("--disk 'nbd+unix:///?socket=/run/disk.sock'", refused.Message, StringComparison.Ordinal);
        Assert.Contains("--format raw", refused.Message, StringComparison.Ordinal);
        // The file is closed and unlocked.
        using var disk = HostDisk.Open(_path, new HostDiskOptions { IsRaw = true });
        Assert.Equal(new FileInfo(_path).Length, disk.Length);
    }

    [Fact]
    public void An_encrypted_disk_is_served_and_logged()
    {
        Write("LUKS\u00ba\u00be", 0);
        using (HostDisk.Open(_path, log: _log))
        {
        }
        Assert.Single(_log.All, static line => line.Contains("LUKS", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("", 0)]
    [InlineData("QFI", 0)]
    [InlineData("vhdxfile", 512)]
    [InlineData("conectix", 1024)]
    public void Any_other_content_is_raw(string text, int at)
    {
        Write(text, at);
        using var port = FilePortDriver.Open(_path, readOnly: true, direct: false, NullLogger.Instance);
        Assert.Equal(new FileInfo(_path).Length, port.Bytes);
    }

    // The signature begins the last sector of the file, or lies in its middle.
    private void Write(string signature, int at)
    {
        var content = new byte[65536 + 512];
        Encoding.Latin1.GetBytes(signature, content.AsSpan(at));
        File.WriteAllBytes(_path, content);
    }
}
