using System.Buffers.Binary;
using VmShunt.Guest.Firmware.Boot;
using VmShunt.Guest.Firmware.Partitions;

namespace VmShunt.Tests.Guest.Firmware.Boot;

public class BootRecordTests
{
    private const ulong PartitionSectors = 4096;
    private static readonly byte[] s_image = [.. Enumerable.Range(0, 5000).Select(i => (byte)(i * 7))];

    private static BootRecord NewRecord() => BootRecord.Describe(s_image, 8, "VmShunt.Guest");

    private static string ErrorOf(byte[] sector, ulong partitionSectors = PartitionSectors)
    {
        Assert.False(BootRecord.TryParse(sector, partitionSectors, out _, out var error));
        return error;
    }

    private static byte[] Sealed(Action<byte[]> change)
    {
        var sector = NewRecord().Format();
        change(sector);
        BinaryPrimitives.WriteUInt32LittleEndian(sector.AsSpan(508), Crc32.Of(sector.AsSpan(0, 508)));
        return sector;
    }

    [Fact]
    public void A_boot_record_reads_back_and_matches_only_its_own_image()
    {
        Assert.True(BootRecord.TryParse(NewRecord().Format(), PartitionSectors, out BootRecord? record, out var error), error);
        Assert.Equal((8UL, 5000L, "VmShunt.Guest"), (record.ImageSector, record.ImageBytes, record.EntryAssembly));
        Assert.True(record.Matches(s_image));

        byte[] changed = [.. s_image];
        changed[4999] ^= 1;
        Assert.False(record.Matches(changed));
        Assert.False(record.Matches(s_image.AsSpan(0, 4999)));
    }

    [Fact]
    public void Every_changed_byte_of_a_boot_record_is_detected()
    {
        for (var at = 0; at < BootRecord.Bytes; at++)
        {
            var sector = NewRecord().Format();
            sector[at] ^= 0x20;
            Assert.NotEmpty(ErrorOf(sector));
        }
    }

    [Fact]
    public void An_empty_sector_is_not_a_boot_record() => Assert.Equal("no boot record", ErrorOf(new byte[512]));

    [Fact]
    public void A_sector_that_is_too_short_is_rejected() => Assert.NotEmpty(ErrorOf(new byte[511]));

    [Fact]
    public void Invalid_fields_with_a_valid_checksum_are_rejected()
    {
        Assert.Contains("version 2", ErrorOf(Sealed(s => s[8] = 2)), StringComparison.Ordinal);
        Assert.Contains("bytes", ErrorOf(Sealed(s => s[12] = 1)), StringComparison.Ordinal);
        Assert.Contains("inside", ErrorOf(Sealed(s => s[16] = 0)), StringComparison.Ordinal);
        Assert.Contains("inside", ErrorOf(Sealed(s => s.AsSpan(16, 8).Fill(0xFF))), StringComparison.Ordinal);
        Assert.Contains("image of", ErrorOf(Sealed(s => s.AsSpan(24, 8).Clear())), StringComparison.Ordinal);
        Assert.Contains("image of", ErrorOf(Sealed(s => s.AsSpan(24, 8).Fill(0xFF))), StringComparison.Ordinal);
        Assert.Contains("image of", ErrorOf(Sealed(s => BinaryPrimitives.WriteInt64LittleEndian(s.AsSpan(24), OsImage.MaxImageBytes + 1))), StringComparison.Ordinal);
        Assert.Contains("name of", ErrorOf(Sealed(s => s.AsSpan(64, 2).Clear())), StringComparison.Ordinal);
        Assert.Contains("name of", ErrorOf(Sealed(s => s.AsSpan(64, 2).Fill(0xFF))), StringComparison.Ordinal);
        Assert.Contains("characters", ErrorOf(Sealed(s => s[66] = (byte)'/')), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(18UL, true)] // 8 + 10 sectors: the image just fits
    [InlineData(17UL, false)]
    [InlineData(7UL, false)]
    [InlineData(0UL, false)]
    public void The_image_must_be_inside_its_partition(ulong partitionSectors, bool fits) =>
        Assert.Equal(fits, BootRecord.TryParse(NewRecord().Format(), partitionSectors, out _, out _));

    [Fact]
    public void A_record_that_would_not_parse_is_not_written()
    {
        Assert.Throws<InvalidOperationException>(() => BootRecord.Describe(s_image, 8, "").Format());
        Assert.Throws<InvalidOperationException>(() => BootRecord.Describe(s_image, 8, "../x").Format());
        Assert.Throws<InvalidOperationException>(() => BootRecord.Describe(s_image, 0, "x").Format());
        Assert.Throws<InvalidOperationException>(() => BootRecord.Describe([], 8, "x").Format());
        Assert.Throws<InvalidOperationException>(() => (NewRecord() with { ImageSha256 = new byte[31] }).Format());
    }
}
