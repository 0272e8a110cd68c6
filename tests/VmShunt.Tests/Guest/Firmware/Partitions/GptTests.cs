using System.Buffers.Binary;
using VmShunt.Guest.Firmware.Partitions;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Guest.Firmware.Partitions;

public class GptTests
{
    private const ulong DiskSectors = 16384;
    private const int Header = 512, Array = 1024;

    private static readonly GptPartition[] s_partitions =
    [
        new(PartitionTypes.Boot, Guid.NewGuid(), "boot", 2048, 4096),
        new(PartitionTypes.LinuxData, Guid.NewGuid(), "data", 6144, 6144),
        new(PartitionTypes.Dump, Guid.NewGuid(), "dump", 12288, 2048),
    ];

    private static MemoryDisk NewDisk() => MemoryDisk.With(GptLayout.Create(DiskSectors, Guid.NewGuid(), s_partitions), DiskSectors);

    private static Gpt Read(MemoryDisk disk)
    {
        Assert.True(Gpt.TryRead(disk, out Gpt? table, out var error), error);
        return table;
    }

    /// <summary>Recomputes the checksums after a change, so that the later checks are reached.</summary>
    private static void Seal(MemoryDisk disk)
    {
        Span<byte> header = disk.Content.AsSpan(Header, 92);
        BinaryPrimitives.WriteUInt32LittleEndian(header[88..], Crc32.Of(disk.Content.AsSpan(Array, 128 * 128)));
        header.Slice(16, 4).Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(header[16..], Crc32.Of(header));
    }

    [Fact]
    public void A_written_table_reads_back()
    {
        Gpt table = Read(NewDisk());
        Assert.Equal(s_partitions, table.Partitions);
        Assert.False(table.IsBackup);
        Assert.Equal(s_partitions[2], table.Find(PartitionTypes.Dump));
        Assert.Null(table.Find(Guid.NewGuid()));
    }

    [Fact]
    public void The_checksum_is_the_one_of_IEEE_802_3() => Assert.Equal(0xCBF43926u, Crc32.Of("123456789"u8));

    [Fact]
    public void Any_changed_byte_of_the_primary_header_or_a_used_entry_makes_the_backup_be_used()
    {
        foreach (var at in Enumerable.Range(Header, 92).Concat(Enumerable.Range(Array, 3 * 128)))
        {
            MemoryDisk disk = NewDisk();
            disk.Content[at] ^= 0x10;
            Gpt table = Read(disk);
            Assert.True(table.IsBackup, $"byte {at}");
            Assert.Equal(s_partitions, table.Partitions);
        }
    }

    [Fact]
    public void A_wiped_primary_table_is_replaced_by_the_backup()
    {
        MemoryDisk disk = NewDisk();
        disk.Content.AsSpan(512, 33 * 512).Clear();
        Assert.True(Read(disk).IsBackup);
    }

    [Fact]
    public void Without_a_valid_table_both_errors_are_reported()
    {
        MemoryDisk disk = NewDisk();
        disk.Content[Header + 60] ^= 1;
        disk.Content[^512] ^= 1;
        Assert.False(Gpt.TryRead(disk, out _, out var error));
        Assert.Contains("primary: the GPT header's CRC is wrong", error, StringComparison.Ordinal);
        Assert.Contains("backup: no GPT signature", error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_disk_that_was_repartitioned_with_an_MBR_has_no_table()
    {
        MemoryDisk disk = NewDisk();
        disk.Content[446 + 4] = 0x83;
        Assert.False(Gpt.TryRead(disk, out _, out var error));
        Assert.Contains("MBR", error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0UL)]
    [InlineData(1UL)]
    [InlineData(2UL)]
    [InlineData(67UL)]
    public void A_disk_too_small_for_a_table_is_rejected(ulong sectors) => Assert.False(Gpt.TryRead(new MemoryDisk(sectors), out _, out _));

    // Offset in the header, value.
    [Theory]
    [InlineData(12, 0xFFFF_FFFFUL)] // header bytes
    [InlineData(24, 7UL)] // MyLBA
    [InlineData(40, 0UL)] // first usable before the header
    [InlineData(48, DiskSectors)] // last usable beyond the disk
    [InlineData(48, ulong.MaxValue)]
    [InlineData(72, DiskSectors - 1)] // entries beyond the disk
    [InlineData(72, ulong.MaxValue)]
    [InlineData(72, 2048UL)] // entries inside a partition
    [InlineData(80, 0xFFFF_FFFF_0000_0000UL)] // no entries, each of 4 GiB
    [InlineData(80, 0x0000_0080_FFFF_FFFFUL)] // 4 Gi entries
    [InlineData(80, 0x0000_0000_0000_0080UL)] // entries of 0 bytes
    [InlineData(80, 0x0000_0081_0000_0080UL)] // entries of 129 bytes
    public void A_header_with_valid_checksums_and_invalid_bounds_makes_the_backup_be_used(int offset, ulong value)
    {
        MemoryDisk disk = NewDisk();
        Span<byte> field = disk.Content.AsSpan(Header + offset, 8);
        if (offset == 12) BinaryPrimitives.WriteUInt32LittleEndian(field, (uint)value);
        else BinaryPrimitives.WriteUInt64LittleEndian(field, value);
        Seal(disk);
        Assert.True(Read(disk).IsBackup);
    }

    [Theory]
    [InlineData(32, 0UL)] // starts in the table
    [InlineData(32, ulong.MaxValue)]
    [InlineData(40, 1UL)] // ends before it starts
    [InlineData(40, ulong.MaxValue)]
    [InlineData(40, 6144UL)] // overlaps the next
    public void An_entry_with_valid_checksums_and_invalid_bounds_makes_the_backup_be_used(int offset, ulong value)
    {
        MemoryDisk disk = NewDisk();
        BinaryPrimitives.WriteUInt64LittleEndian(disk.Content.AsSpan(Array + offset), value);
        Seal(disk);
        Assert.True(Read(disk).IsBackup);
    }

    [Fact]
    public void Random_tables_read_back_from_the_primary_and_the_backup()
    {
        var seed = Environment.TickCount;
        var random = new Random(seed);
        for (var round = 0; round < 200; round++)
        {
            var sectors = (ulong)random.Next(68, 40000);
            List<GptPartition> partitions = RandomPartitions(random, sectors);
            MemoryDisk disk = MemoryDisk.With(GptLayout.Create(sectors, Guid.NewGuid(), partitions), sectors);
            if (random.Next(2) == 0) disk.Content[Header + random.Next(92)] ^= 0x80;
            Assert.True(Gpt.TryRead(disk, out Gpt? table, out var error), $"seed {seed}, round {round}: {error}");
            Assert.True(partitions.SequenceEqual(table.Partitions), $"seed {seed}, round {round}");
        }
    }

    [Fact]
    public void Random_damage_with_valid_checksums_never_yields_a_partition_outside_the_disk()
    {
        var seed = Environment.TickCount;
        var random = new Random(seed);
        for (var round = 0; round < 2000; round++)
        {
            MemoryDisk disk = NewDisk();
            for (var i = random.Next(1, 6); i > 0; i--)
            {
                var at = random.Next(2) == 0 ? Header + random.Next(92) : Array + random.Next(4 * 128);
                disk.Content[at] = (byte)random.Next(256);
            }
            Seal(disk);
            Gpt table = Read(disk);
            Assert.All(table.Partitions, p => Assert.True(p.LastSector < DiskSectors && p.FirstSector <= p.LastSector, $"seed {seed}, round {round}"));
        }
    }

    [Fact]
    public void Partitions_that_do_not_fit_are_rejected()
    {
        Assert.Throws<ArgumentException>(() => GptLayout.Create(DiskSectors, Guid.NewGuid(), [s_partitions[0] with { SectorCount = DiskSectors }]));
        Assert.Throws<ArgumentException>(() => GptLayout.Create(DiskSectors, Guid.NewGuid(), [s_partitions[0] with { SectorCount = 0 }]));
        Assert.Throws<ArgumentException>(() => GptLayout.Create(DiskSectors, Guid.NewGuid(), [s_partitions[0] with { FirstSector = 33 }]));
        Assert.Throws<ArgumentException>(() => GptLayout.Create(DiskSectors, Guid.NewGuid(), [s_partitions[0], s_partitions[0]]));
        Assert.Throws<ArgumentException>(() => GptLayout.Create(DiskSectors, Guid.NewGuid(), [s_partitions[0] with { Name = new string('n', 37) }]));
        Assert.Throws<ArgumentException>(() => GptLayout.Create(67, Guid.NewGuid(), []));
    }

    private static List<GptPartition> RandomPartitions(Random random, ulong diskSectors)
    {
        var partitions = new List<GptPartition>();
        ulong at = 34, end = diskSectors - 33;
        while (partitions.Count < 128 && random.Next(8) > 0)
        {
            at += (ulong)random.Next(100);
            if (at >= end) break;
            var count = 1 + (ulong)random.NextInt64((long)(end - at));
            if (random.Next(3) > 0) count = 1 + (count / 10);
            partitions.Add(new GptPartition(Guid.NewGuid(), Guid.NewGuid(), new string('ä', random.Next(37)), at, count));
            at += count;
        }
        return partitions;
    }
}
