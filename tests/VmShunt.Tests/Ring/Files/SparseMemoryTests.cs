using VmShunt.Ring.Files;
using VmShunt.Ring.Memory;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Ring.Files;

/// <summary>Memory that is allocated for written pages only holds the same bytes as any memory.</summary>
public sealed class SparseMemoryTests : IDisposable
{
    private const int Page = PrivateMemory.LargePageBytes, Bytes = 4 * Page + 12_345;

    private readonly TestMemory _ram = new(2 * Page);
    private readonly SparseMemory _memory = new(Bytes);

    public void Dispose()
    {
        _memory.Dispose();
        _ram.Dispose();
    }

    [Fact]
    public void Reads_match_a_model_after_any_writes_and_clears()
    {
        var seed = Environment.TickCount;
        var random = new Random(seed);
        var model = new byte[Bytes];
        for (var round = 0; round < 600; round++)
        {
            // Often across a page boundary, sometimes whole pages.
            var (offset, length) = random.Next(4) switch
            {
                0 => (random.Next(4) * Page, random.Next(1, 3) * Page),
                1 => (Math.Max(0, random.Next(1, 5) * Page - random.Next(3000)), random.Next(1, 6000)),
                _ => (random.Next(Bytes), random.Next(1, 40_000)),
            };
            length = Math.Min(length, Bytes - offset);
            var piece = _ram.Span(TestMemory.Start, length);
            switch (random.Next(4))
            {
                case 0:
                    random.NextBytes(piece);
                    piece.CopyTo(model.AsSpan(offset));
                    _memory.Write(piece, offset);
                    break;
                case 1:
                    model.AsSpan(offset, length).Clear();
                    _memory.Clear(offset, length, givesBack: random.Next(2) == 0);
                    break;
                default:
                    piece.Fill(0xEE);
                    var pieces = new IoVectors();
                    Assert.True(_ram.Memory.TryAppend(TestMemory.Start, (ulong)length, true, pieces));
                    _memory.Read(pieces, offset);
                    Assert.True(piece.SequenceEqual(model.AsSpan(offset, length)), $"round {round}, seed {seed}");
                    break;
            }
        }
    }

    [Fact]
    public void A_range_past_the_end_is_refused()
    {
        var pieces = new IoVectors();
        Assert.True(_ram.Memory.TryAppend(TestMemory.Start, 2, true, pieces));
        foreach (var offset in new[] { -1L, Bytes - 1, Bytes, long.MinValue, long.MaxValue })
        {
            Assert.Throws<ArgumentOutOfRangeException>(() => _memory.Read(pieces, offset));
            Assert.Throws<ArgumentOutOfRangeException>(() => _memory.Write([1, 2], offset));
            Assert.Throws<ArgumentOutOfRangeException>(() => _memory.Clear(offset, 2, givesBack: true));
        }
        Assert.Throws<ArgumentOutOfRangeException>(() => _memory.Clear(0, -1, givesBack: true));
    }

    [Fact]
    public void A_write_concurrent_with_freeing_its_page_is_kept_or_lost_for_good()
    {
        var writer = new Thread(() =>
        {
            for (var i = 0; i < 20_000; i++) _memory.Write([(byte)(i | 1)], 100);
        });
        writer.Start();
        while (writer.IsAlive) _memory.Clear(0, Page, givesBack: true);
        writer.Join();
        var pieces = new IoVectors();
        Assert.True(_ram.Memory.TryAppend(TestMemory.Start, 1, true, pieces));
        _memory.Read(pieces, 100);
        var seen = _ram.Span(TestMemory.Start, 1)[0];
        // Another write to the same page must not bring a lost write back.
        _memory.Write([7], 5000);
        _memory.Read(pieces, 100);
        Assert.Equal(seen, _ram.Span(TestMemory.Start, 1)[0]);
    }
}
