using System.Security.Cryptography;

namespace VmShunt.Tests.Guest.Kernel.Commands.Disk;

/// <summary>The commands on a disk, against an AHCI disk over the trap path and a vhost-user disk over the ring path.</summary>
public sealed class DiskCommandTests(BoardFixture board, BusFixture bus) : IClassFixture<BoardFixture>, IClassFixture<BusFixture>, IDisposable
{
    private readonly string _file = Path.Combine(Path.GetTempPath(), $"vmshunt-file-{Guid.NewGuid():N}");

    public void Dispose() => File.Delete(_file);

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_written_file_reads_back_padded_to_the_sector(bool isRing)
    {
        var content = new byte[(2 << 20) + 100];
        new Random(1).NextBytes(content);
        File.WriteAllBytes(_file, content);
        Assert.Equal(content.Length, (long)Guest(isRing).Run($"write --sector 7 --input {_file}")["bytes"]!);

        var sectors = (content.Length + 511) / 512;
        Assert.Equal(sectors * 512L, (long)Guest(isRing).Run($"read --sector 7 --count {sectors} --output {_file}")["bytes"]!);
        var read = File.ReadAllBytes(_file);
        Assert.True(read.AsSpan(0, content.Length).SequenceEqual(content));
        Assert.True(read.AsSpan(content.Length).IndexOfAnyExcept((byte)0) < 0);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void The_hash_is_the_SHA_256_of_what_read_reads(bool isRing)
    {
        Guest(isRing).Run("fill --sector 0 --count 5000 --seed 4");
        Guest(isRing).Run($"read --sector 0 --count 4000 --output {_file}");
        var answer = Guest(isRing).Run("hash --bytes 2047999");
        Assert.Equal(Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(_file).AsSpan(0, 2_047_999))), (string)answer["sha256"]!);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_fill_verifies_until_a_sector_changes_which_is_then_named(bool isRing)
    {
        var guest = Guest(isRing);
        guest.Run("fill --sector 100 --count 3000 --seed 9");
        guest.Run("fill --sector 100 --count 3000 --seed 9 --verify");
        guest.Run("zero --sector 2500 --count 2");
        var error = Assert.Throws<InvalidOperationException>(() => guest.Run("fill --sector 100 --count 3000 --seed 9 --verify"));
        Assert.Equal("sector 2500 does not have the pattern of seed 9", error.Message);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_discarded_range_of_a_memory_disk_reads_as_zeros(bool isRing)
    {
        var guest = Guest(isRing);
        guest.Run("fill --sector 8 --count 2048 --seed 1");
        Assert.Equal(2048, (long)guest.Run("discard --sector 8 --count 2048")["sectors"]!);
        guest.Run("flush");
        guest.Run($"read --sector 8 --count 2048 --output {_file}");
        Assert.True(File.ReadAllBytes(_file).AsSpan().IndexOfAnyExcept((byte)0) < 0);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_range_outside_the_disk_is_rejected_before_anything_is_read_or_written(bool isRing)
    {
        File.WriteAllBytes(_file, new byte[1024]);
        Assert.Contains("are not on the disk", Assert.Throws<ArgumentException>(() => Guest(isRing).Run($"read --sector 16383 --count 2 --output {_file}")).Message, StringComparison.Ordinal);
        File.WriteAllBytes(_file, new byte[1024]);
        Assert.Throws<ArgumentException>(() => Guest(isRing).Run($"write --sector 16383 --input {_file}"));
        Assert.Throws<ArgumentException>(() => Guest(isRing).Run("hash --bytes 8388609"));
    }

    [Fact]
    public void Info_tells_the_two_kinds_of_guest_apart()
    {
        var emulating = board.Guest.Run("info");
        Assert.Equal(("emulating", "BOARD", false), ((string)emulating["mode"]!, (string)emulating["disk"]!["serial"]!, (bool)emulating["bus"]!));
        Assert.Equal(16384, (long)emulating["disk"]!["sectors"]!);
        Assert.Null(emulating["dump"]);

        var enlightened = bus.Guest.Run("info");
        Assert.Equal(("enlightened", true, 1), ((string)enlightened["mode"]!, (bool)enlightened["bus"]!, (int)enlightened["pollQueues"]!));
        Assert.Contains("Version1", (string)enlightened["busFeatures"]!, StringComparison.Ordinal);
        Assert.Equal(0, (long)enlightened["requests"]!["trap"]!);
        Assert.Null(enlightened["shunt"]);
    }

    [Fact]
    public void An_application_finds_the_emulated_disk_while_nothing_shunts() =>
        Assert.Contains("sda", board.Guest.Run("devices")["devices"]!.AsArray().Select(static device => (string)device!["name"]!));

    private RunningKernel Guest(bool isRing) => isRing ? bus.Guest : board.Guest;
}
