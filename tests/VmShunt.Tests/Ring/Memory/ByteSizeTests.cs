using VmShunt.Ring.Memory;

namespace VmShunt.Tests.Ring.Memory;

public class ByteSizeTests
{
    [Theory]
    [InlineData("0", 0)]
    [InlineData("4096", 4096)]
    [InlineData("1K", 1024)]
    [InlineData("1k", 1024)]
    [InlineData("64M", 64L << 20)]
    [InlineData("64MB", 64L << 20)]
    [InlineData("2GiB", 2L << 30)]
    [InlineData("2gib", 2L << 30)]
    [InlineData("3T", 3L << 40)]
    [InlineData(" 7G ", 7L << 30)]
    [InlineData("512B", 512)]
    [InlineData("9223372036854775807", long.MaxValue)]
    [InlineData("8388607T", 8388607L << 40)]
    public void A_size_with_or_without_a_unit_is_parsed(string text, long bytes)
    {
        Assert.True(ByteSize.TryParse(text, out var parsed));
        Assert.Equal(bytes, parsed);
    }

    [Theory]
    [InlineData("")]
    [InlineData(" ")]
    [InlineData("M")]
    [InlineData("B")]
    [InlineData("iB")]
    [InlineData("-1")]
    [InlineData("+1")]
    [InlineData("1.5G")]
    [InlineData("1,024")]
    [InlineData("0x10")]
    [InlineData("10P")]
    [InlineData("10MK")]
    [InlineData("1 2")]
    [InlineData("512iB")]
    [InlineData("9223372036854775808")]
    [InlineData("8388608T")]
    [InlineData("99999999999999999999")]
    public void A_text_that_is_not_a_size_is_refused(string text)
    {
        Assert.False(ByteSize.TryParse(text, out var bytes));
        Assert.Equal(0, bytes);
    }

    [Theory]
    [InlineData(0, "0")]
    [InlineData(1000, "1000")]
    [InlineData(1024, "1K")]
    [InlineData(1536, "1536")]
    [InlineData(64L << 20, "64M")]
    [InlineData(1L << 50, "1024T")]
    public void A_size_is_formatted_in_its_shortest_exact_form(long bytes, string text)
    {
        Assert.Equal(text, ByteSize.Format(bytes));
        Assert.True(ByteSize.TryParse(text, out var parsed));
        Assert.Equal(bytes, parsed);
    }
}
