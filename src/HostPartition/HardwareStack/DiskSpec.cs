using VmShunt.Ring.Memory;

namespace VmShunt.HostPartition.HardwareStack;

/// <summary>What <c>--disk</c> names: a path, <c>memory:SIZE</c> or <c>null:SIZE</c>.</summary>
internal static class DiskSpec
{
    /// <summary>Opens the disk.</summary>
    /// <exception cref="IOException">It cannot be opened; the message says why.</exception>
    /// <exception cref="FormatException">The text names no disk.</exception>
    internal static PortDriver Open(string spec, bool readOnly, bool writeThrough)
    {
        if (spec.StartsWith("memory:", StringComparison.Ordinal)) return new MemoryPortDriver(Size(spec, "memory:"));
        if (spec.StartsWith("null:", StringComparison.Ordinal)) return new NullPortDriver(Size(spec, "null:"));
        return FilePortDriver.Open(spec, readOnly, writeThrough);
    }

    private static long Size(string spec, string prefix) =>
        ByteSize.TryParse(spec[prefix.Length..], out var bytes) && bytes > 0
            ? bytes
            : throw new FormatException($"--disk {spec}: a size such as 64M is expected after {prefix}");
}
