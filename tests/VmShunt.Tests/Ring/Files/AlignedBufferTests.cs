using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using VmShunt.Ring.Files;

namespace VmShunt.Tests.Ring.Files;

public class AlignedBufferTests
{
    [Theory]
    [InlineData(1, 1)]
    [InlineData(4096, 512)]
    [InlineData(100_000, 4096)]
    [InlineData(8192, 65_536)]
    public void It_starts_at_a_multiple_of_the_alignment(int bytes, int alignment)
    {
        using var buffer = new AlignedBuffer(bytes, alignment);
        Assert.Equal(bytes, buffer.Span.Length);
        Assert.Equal(0, AddressOf(buffer.Span) % alignment);
        buffer.Span.Fill(1);
    }

    [Fact]
    public void It_is_empty_after_disposal()
    {
        var buffer = new AlignedBuffer(4096, 4096);
        buffer.Dispose();
        Assert.True(buffer.Span.IsEmpty);
        buffer.Dispose();
    }

    private static long AddressOf(Span<byte> span) => Unsafe.ByteOffset(
        ref Unsafe.NullRef<byte>(), ref MemoryMarshal.GetReference(span));
}
