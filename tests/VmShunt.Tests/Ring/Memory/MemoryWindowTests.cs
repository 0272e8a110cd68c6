using VmShunt.Ring.Memory;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Ring.Memory;

public sealed class MemoryWindowTests : IDisposable
{
    private readonly TestMemory _ram = new(8192);

    public void Dispose() => _ram.Dispose();

    [Theory]
    [InlineData(-1)]
    [InlineData(-8)]
    [InlineData(93)]
    [InlineData(100)]
    [InlineData(101)]
    [InlineData(int.MaxValue)]
    [InlineData(int.MinValue)]
    public void No_access_reaches_past_the_window(int offset)
    {
        var window = _ram.Window(TestMemory.Start + 50, 100);
        Assert.Throws<ArgumentOutOfRangeException>(() => window.Read<ulong>(offset));
        Assert.Throws<ArgumentOutOfRangeException>(() => window.Write(offset, 1ul));
    }

    [Theory]
    [InlineData(-2)]
    [InlineData(-4)]
    [InlineData(100)]
    [InlineData(int.MaxValue - 1)]
    public void No_ordered_access_reaches_past_the_window(int offset)
    {
        var window = _ram.Window(TestMemory.Start, 100);
        Assert.Throws<ArgumentOutOfRangeException>(() => window.ReadUInt16Acquire(offset));
        Assert.Throws<ArgumentOutOfRangeException>(() => window.WriteUInt16Release(offset, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => window.ReadUInt32Acquire(offset));
        Assert.Throws<ArgumentOutOfRangeException>(() => window.WriteUInt32Release(offset, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => window.WriteUInt64Release(offset, 1));
        // The default window has no bytes.
        Assert.Throws<ArgumentOutOfRangeException>(() => default(MemoryWindow).Read<byte>(0));
        Assert.Throws<ArgumentOutOfRangeException>(() => default(MemoryWindow).ReadUInt16Acquire(0));
        Assert.True(default(MemoryWindow).Span.IsEmpty);
    }

    [Fact]
    public void Values_are_little_endian_at_any_offset()
    {
        var window = _ram.Window(TestMemory.Start + 3, 100);
        window.Write(1, 0x0807_0605_0403_0201ul);
        window.WriteUInt16Release(91, 0x0a09);
        Assert.Equal("0102030405060708", Convert.ToHexString(_ram.Span(TestMemory.Start + 4, 8)));
        Assert.Equal("090A", Convert.ToHexString(_ram.Span(TestMemory.Start + 94, 2)));
        Assert.Equal(0x0807_0605_0403_0201ul, window.Read<ulong>(1));
        Assert.Equal(0x0a09, window.ReadUInt16Acquire(91));
        window.WriteUInt32Release(93, 0x4433_2211);
        Assert.Equal("11223344", Convert.ToHexString(_ram.Span(TestMemory.Start + 96, 4)));
        Assert.Equal(0x4433_2211u, window.ReadUInt32Acquire(93));
        Assert.Equal(0x0201, window.Span[1] | window.Span[2] << 8);
    }
}
