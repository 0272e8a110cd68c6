using Microsoft.Extensions.Logging;
using VmShunt.HostPartition.Disk;
using VmShunt.HostPartition.Disk.Nbd;
using VmShunt.Ring.Memory;

namespace VmShunt.HostPartition.Process;

/// <summary>What <c>--disk</c> names: a path, <c>memory:SIZE</c>, <c>null:SIZE</c>, or an NBD export.</summary>
internal static class DiskSpec
{
    /// <summary>Opens the disk.</summary>
    /// <exception cref="IOException">It cannot be opened; the message says why.</exception>
    /// <exception cref="FormatException">The text names no disk.</exception>
    internal static PortDriver Open(string spec, bool readOnly, CacheMode cache, ILogger log, DiskEngine engine = DiskEngine.Auto)
    {
        var direct = cache == CacheMode.Direct;
        var isRemote = NbdAddress.IsOne(spec);
        var isMemory = isRemote || spec.StartsWith("memory:", StringComparison.Ordinal) || spec.StartsWith("null:", StringComparison.Ordinal);
        if (isMemory && engine != DiskEngine.Auto)
            throw new FormatException($"--engine says how an image or block device is read and written; {spec} is neither");
        if (direct && engine == DiskEngine.Mmap)
            throw new FormatException("--engine mmap reads from the page cache, which --cache direct goes past; use another engine or another cache mode");
        if (direct && isMemory)
            throw new FormatException($"--cache direct goes past the page cache, which {spec} does not use; it is for files and block devices");
        if (isRemote) return NbdPortDriver.Open(spec, readOnly, log);
        if (spec.StartsWith("memory:", StringComparison.Ordinal)) return new MemoryPortDriver(Size(spec, "memory:"));
        if (spec.StartsWith("null:", StringComparison.Ordinal)) return new NullPortDriver(Size(spec, "null:"));
        return FilePortDriver.Open(spec, readOnly, direct, log, engine);
    }

    private static long Size(string spec, string prefix) =>
        ByteSize.TryParse(spec[prefix.Length..], out var bytes) && bytes > 0
            ? bytes
            : throw new FormatException($"--disk {spec}: a size such as 64M is expected after {prefix}");
}
