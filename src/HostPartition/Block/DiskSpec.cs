using Microsoft.Extensions.Logging;
using VmShunt.BlockBackend.Disk;
using VmShunt.BlockBackend.Disk.Nbd;
using VmShunt.Ring.Memory;

namespace VmShunt.BlockBackend;

/// <summary>The name of a disk of this host: a path, <c>memory:SIZE</c>, <c>null:SIZE</c>, or an NBD URI.</summary>
internal static class DiskSpec
{
    private const string Memory = "memory:", Null = "null:";

    // As many sectors as an ATA command can address (ACS-4: 48-bit addresses).
    private const long MostBytes = 1L << 57;

    /// <summary>Opens the disk.</summary>
    /// <exception cref="IOException">It cannot be opened; the message says why.</exception>
    /// <exception cref="FormatException">The argument is invalid, or does not fit the cache mode or engine.</exception>
    internal static PortDriver Open(string spec, bool readOnly, CacheMode cache, ILogger log, DiskEngine engine = DiskEngine.Auto, bool isRaw = false, bool isIncoming = false)
    {
        var direct = cache == CacheMode.Direct;
        var isRemote = NbdAddress.IsNbd(spec);
        var isFile = IsFile(spec);
        if (!isFile && engine != DiskEngine.Auto)
            throw new FormatException($"--engine applies to images and block devices only; {spec} is neither");
        if (direct && engine == DiskEngine.Mmap)
            throw new FormatException("--engine mmap reads from the page cache, which --cache direct bypasses; use another engine or another cache mode");
        if (direct && !isFile)
            throw new FormatException($"--cache direct bypasses the page cache, which {spec} does not use; it applies to images and block devices only");
        if (isIncoming && !isFile)
            throw new FormatException($"--incoming takes over an image or block device that another process has locked; {spec} is neither, and needs no --incoming");
        if (readOnly && !isFile && !isRemote)
            throw new FormatException($"--read-only applies to disks that have content; {spec} starts empty, and could never hold anything");
        if (isRemote) return NbdPortDriver.Open(spec, readOnly, log);
        if (spec.StartsWith(Memory, StringComparison.Ordinal)) return new MemoryPortDriver(Size(spec, Memory));
        if (spec.StartsWith(Null, StringComparison.Ordinal)) return new NullPortDriver(Size(spec, Null));
        return FilePortDriver.Open(spec, readOnly, direct, log, engine, isRaw, isIncoming);
    }

    /// <summary>Whether it is the path of an image or a block device.</summary>
    internal static bool IsFile(string spec) =>
        !NbdAddress.IsNbd(spec) && !spec.StartsWith(Memory, StringComparison.Ordinal) && !spec.StartsWith(Null, StringComparison.Ordinal);

    private static long Size(string spec, string prefix) =>
        ByteSize.TryParse(spec[prefix.Length..], out var bytes) && bytes is > 0 and <= MostBytes
            ? bytes
            : throw new FormatException($"--disk {spec}: a size such as 64M is expected after {prefix}, at most {ByteSize.Format(MostBytes)}");
}
