using VmShunt.Ring.Memory;

namespace VmShunt.Tests.Ring.Memory;

public class BulkCopyTests
{
    // Below, at and above the size from which copies are guarded, and more than the block of zeros.
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2047)]
    [InlineData(2048)]
    [InlineData(4096)]
    [InlineData(4097)]
    [InlineData(100_001)]
    public void Copying_and_clearing_change_exactly_the_given_bytes(int bytes)
    {
        var source = new byte[bytes];
        Random.Shared.NextBytes(source);
        var target = new byte[bytes + 2];
        Array.Fill(target, (byte)0xEE);
        BulkCopy.Copy(source, target.AsSpan(1));
        Assert.Equal([0xEE, .. source, 0xEE], target);
        BulkCopy.Clear(target.AsSpan(1, bytes));
        Assert.Equal([0xEE, .. new byte[bytes], 0xEE], target);
    }

    [Theory]
    [InlineData(10)]
    [InlineData(10_000)]
    public void A_target_that_is_too_short_is_refused(int bytes) =>
        Assert.ThrowsAny<ArgumentException>(() => BulkCopy.Copy(new byte[bytes], new byte[bytes - 1]));
}
