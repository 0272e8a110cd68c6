using VmShunt.Trap.Ahci;

namespace VmShunt.Tests.Trap.Ahci;

public class IdentifyDataTests
{
    [Fact]
    public void Text_is_stored_with_the_bytes_of_each_word_swapped_and_padded_with_spaces()
    {
        var bytes = new byte[512];
        var id = new IdentifyData(bytes) { Serial = "ABC", Model = "model", Firmware = "1.0" };
        Assert.Equal("BA C"u8, bytes.AsSpan(20, 4));
        Assert.Equal("ABC", id.Serial);
        Assert.Equal("model", id.Model);
        Assert.Equal("1.0", id.Firmware);
    }

    [Fact]
    public void Text_too_long_or_not_ASCII_leaves_neighbouring_words_alone()
    {
        var bytes = new byte[512];
        var id = new IdentifyData(bytes) { Firmware = "firm", Serial = new string('s', 300) };
        id.Model = "Müller\n";
        Assert.Equal(20, id.Serial.Length);
        Assert.Equal(0, id[20]);
        Assert.Equal("M?ller?", id.Model);
        Assert.Equal("firm", id.Firmware);
    }

    [Theory]
    [InlineData(1UL, 1u)]
    [InlineData(0x0FFF_FFFFUL, 0x0FFF_FFFFu)]
    [InlineData(0x1000_0000UL, 0x0FFF_FFFFu)]
    [InlineData(0x1_0000_0000_0000UL, 0x0FFF_FFFFu)]
    public void The_capacity_is_limited_by_the_address_size(ulong sectors, uint small)
    {
        var id = new IdentifyData(new byte[512]) { Sectors = sectors };
        Assert.Equal(small, id[60] | (uint)id[61] << 16);
        Assert.Equal(small, id.Sectors); // LBA48 is not set yet
        id[83] = 0x4400;
        Assert.Equal(Math.Min(sectors, IdentifyData.MaxSectors48), id.Sectors);
    }

    [Theory]
    [InlineData(512)]
    [InlineData(4096)]
    public void The_physical_sector_size_round_trips(int bytes)
    {
        var id = new IdentifyData(new byte[512]);
        id.SetSectorSizes(512, bytes);
        Assert.Equal(bytes, id.PhysicalSectorBytes);
        Assert.Equal(512, id.LogicalSectorBytes);
        Assert.Equal(bytes == 4096 ? 0x6003 : 0x4000, id[106]);
    }

    [Theory]
    [InlineData(4096, 4096, 0x5000)]
    [InlineData(4096, 16384, 0x7002)]
    public void Long_logical_sectors_round_trip(int logical, int physical, int word106)
    {
        var id = new IdentifyData(new byte[512]);
        id.SetSectorSizes(logical, physical);
        Assert.Equal(((long)logical, (long)physical, (ushort)word106, 2048), (id.LogicalSectorBytes, id.PhysicalSectorBytes, id[106], id[117] | id[118] << 16));
        id.SetSectorSizes(512, 512);
        Assert.Equal((512L, 512L, (ushort)0x4000, 0), (id.LogicalSectorBytes, id.PhysicalSectorBytes, id[106], id[117] | id[118] << 16));
    }

    [Fact]
    public void Long_logical_sectors_are_read()
    {
        var id = new IdentifyData(new byte[512]);
        id[106] = 0x5000;
        id[117] = 2048;
        Assert.Equal(4096, id.LogicalSectorBytes);
    }

    [Fact]
    public void The_checksum_fails_when_a_bit_changes()
    {
        var bytes = new byte[512];
        var id = new IdentifyData(bytes) { Sectors = 12345, Model = "x" };
        id.Seal();
        Assert.True(id.IsIntact);
        bytes[77] ^= 4;
        Assert.False(id.IsIntact);
    }

    [Fact]
    public void Reading_random_bytes_never_throws()
    {
        var seed = Random.Shared.Next();
        var random = new Random(seed);
        var bytes = new byte[512];
        for (var round = 0; round < 2000; round++)
        {
            random.NextBytes(bytes);
            var id = new IdentifyData(bytes);
            Assert.True(id.LogicalSectorBytes >= 0 && id.PhysicalSectorBytes >= 0 && id.Sectors <= IdentifyData.MaxSectors48, $"seed {seed}");
            Assert.True(id.Model.Length <= 40 && id.Serial.Length <= 20 && id.Firmware.Length <= 8, $"seed {seed}");
            _ = id.HasLba48 | id.HasFlushCacheExt | id.HasTrim | id.HasFua | id.HasSmart | id.HasWriteCache | id.IsWriteCacheEnabled | id.IsIntact;
        }
    }
}
