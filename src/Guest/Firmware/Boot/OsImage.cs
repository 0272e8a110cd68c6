using System.IO.Compression;

namespace VmShunt.Guest.Firmware.Boot;

/// <summary>The OS image: the kernel's own assemblies in one zip archive, flat, each under its file name.</summary>
public static class OsImage
{
    /// <summary>The largest image that a loader reads, in bytes.</summary>
    public const int MaxImageBytes = 32 << 20;

    /// <summary>The largest sum of the unpacked assemblies, in bytes.</summary>
    public const int MaxUnpackedBytes = 64 << 20;

    /// <summary>The most files that an image holds.</summary>
    public const int MaxEntries = 256;

    /// <summary>The simple name of the assembly that a VmShunt kernel starts with.</summary>
    public const string KernelEntryAssembly = "VmShunt.Guest";

    // The earliest date that a zip can hold: the same assemblies make the same image.
    private static readonly DateTimeOffset s_noDate = new(1980, 1, 1, 0, 0, 0, TimeSpan.Zero);

    /// <summary>Packs files into an image.</summary>
    /// <param name="files">Paths; an entry is named by the file's name alone.</param>
    /// <exception cref="InvalidDataException">The result is outside what <see cref="Read"/> accepts.</exception>
    /// <exception cref="IOException">A file could not be read.</exception>
    public static byte[] Write(IEnumerable<string> files)
    {
        ArgumentNullException.ThrowIfNull(files);
        using var image = new MemoryStream();
        using (var archive = new ZipArchive(image, ZipArchiveMode.Create, leaveOpen: true))
        {
            foreach (var file in files)
            {
                ZipArchiveEntry entry = archive.CreateEntry(Path.GetFileName(file), CompressionLevel.Optimal);
                entry.LastWriteTime = s_noDate;
                using Stream target = entry.Open();
                target.Write(File.ReadAllBytes(file));
            }
        }
        var bytes = image.ToArray();
        _ = Read(bytes);
        return bytes;
    }

    /// <summary>Unpacks an image into memory. The sizes that the archive states are not believed.</summary>
    /// <returns>File name (<c>VmShunt.Guest.dll</c>) to content; names compare without case.</returns>
    /// <exception cref="InvalidDataException">It is no archive, or one outside the bounds above.</exception>
    public static IReadOnlyDictionary<string, byte[]> Read(ReadOnlyMemory<byte> image)
    {
        if (image.Length > MaxImageBytes) throw new InvalidDataException($"an OS image of {image.Length} bytes; at most {MaxImageBytes} are possible");
        using var archive = new ZipArchive(new MemoryStream(image.ToArray(), writable: false), ZipArchiveMode.Read);
        if (archive.Entries.Count is 0 or > MaxEntries)
            throw new InvalidDataException($"an OS image with {archive.Entries.Count} files; 1 to {MaxEntries} are possible");

        var files = new Dictionary<string, byte[]>(StringComparer.OrdinalIgnoreCase);
        var left = MaxUnpackedBytes;
        foreach (ZipArchiveEntry entry in archive.Entries)
        {
            var name = entry.FullName;
            if (name.Length is 0 or > 255 || name.AsSpan().ContainsAny("/\\\0") || name is "." or "..")
                throw new InvalidDataException($"the OS image holds '{name}', which is no plain file name");
            var content = Unpack(entry, left);
            left -= content.Length;
            if (!files.TryAdd(name, content)) throw new InvalidDataException($"the OS image holds {name} twice");
        }
        return files;
    }

    private static byte[] Unpack(ZipArchiveEntry entry, int limit)
    {
        using Stream source = entry.Open();
        using var content = new MemoryStream();
        var buffer = new byte[64 << 10];
        for (int n; (n = source.Read(buffer)) > 0;)
        {
            if (content.Length + n > limit) throw new InvalidDataException($"the OS image unpacks to more than {MaxUnpackedBytes} bytes");
            content.Write(buffer, 0, n);
        }
        if (content.Length != entry.Length) throw new InvalidDataException($"the OS image's {entry.FullName} has {content.Length} bytes and says {entry.Length}");
        return content.ToArray();
    }
}
