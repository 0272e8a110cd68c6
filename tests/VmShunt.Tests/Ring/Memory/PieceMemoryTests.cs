using VmShunt.Ring.Memory;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Ring.Memory;

public sealed class PieceMemoryTests
{
    [Fact]
    public void It_is_the_piece_while_attached_and_throws_when_detached()
    {
        using var ram = new TestMemory(1 << 16);
        var pieces = new IoVectors();
        Assert.True(ram.Memory.TryAppend(TestMemory.Start + 4096, 512, deviceWrites: true, pieces));
        using var piece = new PieceMemory();
        var memory = piece.Attach(pieces, 0);
        Assert.Equal(512, memory.Length);
        memory.Span.Fill(3);
        Assert.Equal(-1, ram.Span(TestMemory.Start + 4096, 512).IndexOfAnyExcept((byte)3));
        Assert.Equal(0, ram.Span(TestMemory.Start + 4096 + 512, 1)[0]);
        piece.Detach();
        Assert.Throws<ObjectDisposedException>(() => memory.Span.Clear());
        Assert.Throws<ObjectDisposedException>(() => memory.Pin().Dispose());
    }

    [Fact]
    public void A_shorter_piece_than_the_memory_was_made_for_is_never_left()
    {
        using var ram = new TestMemory(1 << 16);
        var pieces = new IoVectors();
        Assert.True(ram.Memory.TryAppend(TestMemory.Start, 1024, deviceWrites: true, pieces));
        Assert.True(ram.Memory.TryAppend(TestMemory.Start + 8192, 512, deviceWrites: true, pieces));
        using var piece = new PieceMemory();
        var first = piece.Attach(pieces, 0);
        piece.Attach(pieces, 1);
        // The slice that the first request took does not fit the second one's piece.
        Assert.ThrowsAny<Exception>(() => first.Span.Fill(9));
    }
}
