using System.Diagnostics;
using System.Globalization;
using Microsoft.Extensions.Logging.Abstractions;
using VmShunt.BlockBackend.Disk;
using VmShunt.Ring.Memory;

namespace VmShunt.Tests.Doubles;

/// <summary>A temporary file with a disk's content, and guest memory for requests.</summary>
internal sealed class DiskImage : IDisposable
{
    private readonly TestMemory _ram = new(4 << 20);

    internal DiskImage(long bytes, int? seed = 1)
    {
        Path = System.IO.Path.Combine(System.IO.Path.GetTempPath(), $"disk-{Guid.NewGuid():N}.img");
        Content = new byte[bytes];
        if (seed is { } value) new Random(value).NextBytes(Content);
        File.WriteAllBytes(Path, Content);
    }

    internal string Path { get; }

    /// <summary>The file's initial content.</summary>
    internal byte[] Content { get; }

    internal GuestMemory Memory => _ram.Memory;

    internal FilePortDriver Open(bool direct = false, bool readOnly = false) => FilePortDriver.Open(Path, readOnly, direct, NullLogger.Instance);

    /// <summary>Ranges of guest memory as a list for disk I/O.</summary>
    internal IoVectors Pieces(bool deviceWrites, params ReadOnlySpan<(int Offset, int Bytes)> pieces)
    {
        var list = new IoVectors();
        foreach (var (offset, bytes) in pieces) Assert.True(Memory.TryAppend(TestMemory.Start + (ulong)offset, (ulong)bytes, deviceWrites, list));
        return list;
    }

    internal Span<byte> Ram(int offset, int bytes) => _ram.Span(TestMemory.Start + (ulong)offset, bytes);

    internal byte[] Read(PortDriver port, long offset, int bytes)
    {
        port.Read(Pieces(true, (0, bytes)), offset);
        return Ram(0, bytes).ToArray();
    }

    internal void Write(PortDriver port, long offset, ReadOnlySpan<byte> bytes)
    {
        bytes.CopyTo(Ram(0, bytes.Length));
        port.Write(Pieces(false, (0, bytes.Length)), offset);
    }

    /// <summary>The bytes that the file system has allocated for the file (stat(1): st_blocks).</summary>
    internal long AllocatedBytes()
    {
        using var stat = Process.Start(new ProcessStartInfo("stat", ["-c", "%b %B", Path]) { RedirectStandardOutput = true })!;
        var words = stat.StandardOutput.ReadToEnd().Split(' ');
        Assert.True(stat.WaitForExit(60_000));
        return long.Parse(words[0], CultureInfo.InvariantCulture) * long.Parse(words[1], CultureInfo.InvariantCulture);
    }

    public void Dispose()
    {
        _ram.Dispose();
        File.Delete(Path);
    }
}
