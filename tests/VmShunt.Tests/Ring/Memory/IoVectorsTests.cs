using VmShunt.Ring.Files;
using VmShunt.Ring.Memory;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Ring.Memory;

public sealed class IoVectorsTests : IDisposable
{
    private readonly TestMemory _ram = new(0x10_0000);
    private readonly IoVectors _list = new();

    public void Dispose() => _ram.Dispose();

    [Fact]
    public void Adjacent_pieces_are_merged()
    {
        Append((0, 100), (100, 100), (300, 50), (200, 100));
        Assert.Equal((3, 350L), (_list.Count, _list.TotalBytes));
        Assert.Equal(200, _list[0].Length);
        Assert.Throws<IndexOutOfRangeException>(() => _list[3].Length);
        _list.Clear();
        Assert.Equal((0, 0L), (_list.Count, _list.TotalBytes));
    }

    [Fact]
    public void The_number_of_pieces_is_limited()
    {
        for (var i = 0; i < IoVectors.MaxPieces; i++) Append((i * 2, 1));
        Assert.False(_ram.Memory.TryAppend(TestMemory.Start + 10_000, 1, false, _list));
        Assert.Equal((1024, 1024L), (_list.Count, _list.TotalBytes));
        // A range adjacent to the last piece is merged with it.
        Assert.True(_ram.Memory.TryAppend(TestMemory.Start + 2047, 1, false, _list));
        Assert.Equal((1024, 1025L), (_list.Count, _list.TotalBytes));
    }

    [Fact]
    public void A_piece_is_never_longer_than_a_span()
    {
        const long gib = 1L << 30;
        using var file = SharedMemoryFile.Create("test", 3 * gib);
        using var region = MemoryRegion.Map(file, 0, (ulong)(3 * gib), 0);
        using var memory = new GuestMemory(region);
        Assert.True(memory.TryAppend(0, (ulong)(3 * gib), true, _list));
        Assert.Equal((3, 3 * gib), (_list.Count, _list.TotalBytes));
        for (var i = 0; i < 3; i++) Assert.Equal(gib, _list[i].Length);
        Assert.False(memory.TryGetWindow(0, int.MinValue, out _));
    }

    [Fact]
    public void Skip_truncate_copy_and_zero_match_an_array()
    {
        var seed = Environment.TickCount;
        var random = new Random(seed);
        var ram = _ram.Span(TestMemory.Start, _ram.Bytes);
        for (var round = 0; round < 2_000; round++)
        {
            random.NextBytes(ram[..4096]);
            _list.Clear();
            var at = new List<int>();
            for (var piece = random.Next(6); piece >= 0; piece--)
            {
                var (start, length) = (random.Next(3800), random.Next(200));
                // The model below does not support overlapping pieces.
                if (at.Any(a => a >= start && a < start + length)) continue;
                Append((start, length));
                at.AddRange(Enumerable.Range(start, length));
            }
            for (var cut = random.Next(4); cut > 0; cut--)
            {
                var bytes = random.Next(at.Count + 50);
                if (random.Next(2) == 0)
                {
                    _list.Skip(bytes);
                    at.RemoveRange(0, Math.Min(bytes, at.Count));
                }
                else
                {
                    _list.Truncate(bytes);
                    if (bytes < at.Count) at.RemoveRange(bytes, at.Count - bytes);
                }
                Assert.Equal(at.Count, _list.TotalBytes);
            }
            var where = $"seed {seed}, round {round}";
            var read = new byte[random.Next(at.Count + 50)];
            Assert.Equal(Math.Min(read.Length, at.Count), _list.CopyTo(read));
            for (var i = 0; i < Math.Min(read.Length, at.Count); i++) Assert.True(read[i] == ram[at[i]], where);

            var expected = ram[..4096].ToArray();
            var write = new byte[random.Next(at.Count + 50)];
            random.NextBytes(write);
            Assert.Equal(Math.Min(write.Length, at.Count), _list.CopyFrom(write));
            for (var i = 0; i < Math.Min(write.Length, at.Count); i++) expected[at[i]] = write[i];
            Assert.True(ram[..4096].SequenceEqual(expected), where);

            var skip = random.Next(at.Count + 50);
            _list.ZeroFrom(skip);
            for (var i = skip; i < at.Count; i++) expected[at[i]] = 0;
            Assert.True(ram[..4096].SequenceEqual(expected), where);
        }
    }

    private void Append(params ReadOnlySpan<(int Offset, int Length)> pieces)
    {
        foreach (var (offset, length) in pieces)
            Assert.True(_ram.Memory.TryAppend(TestMemory.Start + (ulong)offset, (ulong)length, true, _list));
    }
}
