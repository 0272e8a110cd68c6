using System.IO.Compression;

namespace VmShunt.Guest.Firmware.Boot;

/// <summary>The OS image: a flat zip archive of the kernel's assemblies, each under its file name.</summary>
public static class OsImage
{
    /// <summary>The largest image that the loader reads, in bytes.</summary>
    public const int MaxImageBytes = 32 << 20;

    /// <summary>The largest total size of the unpacked assemblies, in bytes.</summary>
    public const int MaxUnpackedBytes = 64 << 20;

    /// <summary>The maximum number of files in an image.</summary>
    public const int MaxEntries = 256;

    /// <summary>The simple name of the entry assembly of a VmShunt kernel.</summary>
    public const string KernelEntryAssembly = "VmShunt.Guest";

    // A fixed date makes images reproducible; this is the earliest that zip can store.
    private static readonly DateTimeOffset s_noDate = new(1980, 1, 1, 0, 0, 0, TimeSpan.Zero);

    /// <summary>Packs files into an image.</summary>
    /// <param name="files">Paths; entries are named after the file name only.</param>
    /// <exception cref="InvalidDataException"><see cref="Read"/> would reject the result.</exception>
    /// <exception cref="IOException">A file cannot be read.</exception>
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

    /// <summary>Unpacks an image into memory. The sizes in the archive are not trusted.</summary>
    /// <returns>File name (<c>VmShunt.Guest.dll</c>) to content; names are case-insensitive.</returns>
    /// <exception cref="InvalidDataException">The bytes are not an archive, or it exceeds a limit above.</exception>
    public static IReadOnlyDictionary<string, byte[]> Read(ReadOnlyMemory<byte> image)
    {
        if (image.Length > MaxImageBytes) throw new InvalidDataException($"an OS image of {image.Length} bytes; the maximum is {MaxImageBytes}");
        using var archive = new ZipArchive(new MemoryStream(image.ToArray(), writable: false), ZipArchiveMode.Read);
        if (archive.Entries.Count is 0 or > MaxEntries)
            throw new InvalidDataException($"an OS image with {archive.Entries.Count} files; it must have 1 to {MaxEntries}");

        var files = new Dictionary<string, byte[]>(StringComparer.OrdinalIgnoreCase);
        var left = MaxUnpackedBytes;
        foreach (ZipArchiveEntry entry in archive.Entries)
        {
            var name = entry.FullName;
            if (name.Length is 0 or > 255 || name.AsSpan().ContainsAny("/\\\0") || name is "." or "..")
                throw new InvalidDataException($"the OS image has an entry '{name}', which is not a plain file name");
            var content = Unpack(entry, left);
            left -= content.Length;
            if (!files.TryAdd(name, content)) throw new InvalidDataException($"the OS image has {name} twice");
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
        if (content.Length != entry.Length) throw new InvalidDataException($"{entry.FullName} in the OS image has {content.Length} bytes instead of {entry.Length}");
        return content.ToArray();
    }
}
