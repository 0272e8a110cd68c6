using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using System.Text;
using VmShunt.Guest.Firmware.Partitions;

namespace VmShunt.Guest.Firmware.Boot;

/// <summary>
/// The first sector of a boot partition: the position and hash of the OS image, and the assembly to start. Little-endian:
/// magic, version, size (0..15), image sector and bytes (16..31), SHA-256 (32..63), length and UTF-8 text of the entry
/// assembly's name (64..), CRC-32 of all before it (508..511).
/// </summary>
/// <param name="ImageSector">The first sector of the image, from the start of the boot partition.</param>
/// <param name="ImageBytes">The size of the image in bytes, at most <see cref="OsImage.MaxImageBytes"/>.</param>
/// <param name="ImageSha256">The SHA-256 of the image, 32 bytes.</param>
/// <param name="EntryAssembly">The simple name of the assembly to start, without <c>.dll</c>.</param>
public sealed record BootRecord(ulong ImageSector, long ImageBytes, ReadOnlyMemory<byte> ImageSha256, string EntryAssembly)
{
    /// <summary>The size of the record: one sector.</summary>
    public const int Bytes = 512;

    private const ulong Magic = 0x544F_4F42_5453_4D56; // "VMSTBOOT"
    private const uint Version = 1;
    private const int HashOffset = 32, NameLengthOffset = 64, NameOffset = 66, MaxNameBytes = 256, CrcOffset = Bytes - 4;

    /// <summary>Creates the record of an image that starts <paramref name="imageSector"/> sectors into the partition.</summary>
    public static BootRecord Describe(ReadOnlySpan<byte> image, ulong imageSector, string entryAssembly) =>
        new(imageSector, image.Length, SHA256.HashData(image), entryAssembly);

    /// <summary>The record as one sector.</summary>
    /// <exception cref="InvalidOperationException"><see cref="TryParse"/> would reject a field.</exception>
    public byte[] Format()
    {
        var nameBytes = Encoding.UTF8.GetByteCount(EntryAssembly);
        if (nameBytes is 0 or > MaxNameBytes || !IsAssemblyName(EntryAssembly))
            throw new InvalidOperationException($"'{EntryAssembly}' is not a valid entry assembly name");
        if (ImageSha256.Length != SHA256.HashSizeInBytes) throw new InvalidOperationException("the image's SHA-256 is not 32 bytes");
        if (ImageSector == 0 || ImageBytes is <= 0 or > OsImage.MaxImageBytes)
            throw new InvalidOperationException($"an image of {ImageBytes} bytes at sector {ImageSector} is not valid");
        var sector = new byte[Bytes];
        BinaryPrimitives.WriteUInt64LittleEndian(sector, Magic);
        BinaryPrimitives.WriteUInt32LittleEndian(sector.AsSpan(8), Version);
        BinaryPrimitives.WriteUInt32LittleEndian(sector.AsSpan(12), Bytes);
        BinaryPrimitives.WriteUInt64LittleEndian(sector.AsSpan(16), ImageSector);
        BinaryPrimitives.WriteInt64LittleEndian(sector.AsSpan(24), ImageBytes);
        ImageSha256.Span.CopyTo(sector.AsSpan(HashOffset));
        BinaryPrimitives.WriteUInt16LittleEndian(sector.AsSpan(NameLengthOffset), (ushort)nameBytes);
        Encoding.UTF8.GetBytes(EntryAssembly, sector.AsSpan(NameOffset));
        BinaryPrimitives.WriteUInt32LittleEndian(sector.AsSpan(CrcOffset), Crc32.Of(sector.AsSpan(0, CrcOffset)));
        return sector;
    }

    /// <summary>Parses and validates a boot partition's first sector.</summary>
    /// <param name="sector">At least 512 bytes.</param>
    /// <param name="partitionSectors">The size of the partition, which the image must fit in.</param>
    /// <param name="record">The record, if the result is true.</param>
    /// <param name="error">The error, if the result is false.</param>
    public static bool TryParse(
        ReadOnlySpan<byte> sector, ulong partitionSectors, [NotNullWhen(true)] out BootRecord? record, [NotNullWhen(false)] out string? error)
    {
        record = null;
        error = Parse(sector, partitionSectors, ref record);
        return error is null && record is not null;
    }

    private static string? Parse(ReadOnlySpan<byte> sector, ulong partitionSectors, ref BootRecord? record)
    {
        if (sector.Length < Bytes) return $"the boot record has {sector.Length} bytes";
        if (BinaryPrimitives.ReadUInt64LittleEndian(sector) != Magic) return "no boot record";
        if (BinaryPrimitives.ReadUInt32LittleEndian(sector[CrcOffset..]) != Crc32.Of(sector[..CrcOffset])) return "the boot record's CRC is wrong";
        var version = BinaryPrimitives.ReadUInt32LittleEndian(sector[8..]);
        if (version != Version) return $"the boot record has version {version}; this loader supports version {Version}";
        var size = BinaryPrimitives.ReadUInt32LittleEndian(sector[12..]);
        if (size != Bytes) return $"the boot record has a size field of {size} bytes";

        var first = BinaryPrimitives.ReadUInt64LittleEndian(sector[16..]);
        var bytes = BinaryPrimitives.ReadInt64LittleEndian(sector[24..]);
        if (bytes is <= 0 or > OsImage.MaxImageBytes) return $"an OS image of {bytes} bytes; it must have 1 to {OsImage.MaxImageBytes}";
        var sectors = ((ulong)bytes + Bytes - 1) / Bytes;
        if (first == 0 || first > partitionSectors || sectors > partitionSectors - first)
            return $"the OS image ({sectors} sectors at {first}) is not inside its partition of {partitionSectors} sectors";

        int nameBytes = BinaryPrimitives.ReadUInt16LittleEndian(sector[NameLengthOffset..]);
        if (nameBytes is 0 or > MaxNameBytes) return $"an entry assembly name of {nameBytes} bytes; it must have 1 to {MaxNameBytes}";
        var name = Encoding.UTF8.GetString(sector.Slice(NameOffset, nameBytes));
        if (!IsAssemblyName(name)) return "the entry assembly's name has invalid characters";
        record = new BootRecord(first, bytes, sector.Slice(HashOffset, SHA256.HashSizeInBytes).ToArray(), name);
        return null;
    }

    /// <summary>Whether the bytes are the image that this record describes.</summary>
    public bool Matches(ReadOnlySpan<byte> image) =>
        image.Length == ImageBytes && SHA256.HashData(image).AsSpan().SequenceEqual(ImageSha256.Span);

    private static bool IsAssemblyName(string name)
    {
        foreach (var c in name)
            if (!char.IsAsciiLetterOrDigit(c) && c is not ('.' or '_' or '-')) return false;
        return true;
    }
}
