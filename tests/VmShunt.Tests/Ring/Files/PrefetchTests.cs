using VmShunt.Ring.Files;
using VmShunt.Ring.Memory;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Ring.Files;

/// <summary>Copies that prefetch the likely next bytes: the position of those is a hint, right or wrong.</summary>
public sealed class PrefetchTests : IDisposable
{
    private const int Bytes = 1 << 18, Page = 4096;

    private readonly string _path = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());
    private readonly byte[] _content = new byte[Bytes];
    private readonly TestMemory _ram = new(Bytes);
    private readonly IoVectors _pieces = new();

    public PrefetchTests()
    {
        new Random(1).NextBytes(_content);
        File.WriteAllBytes(_path, _content);
    }

    public void Dispose()
    {
        _ram.Dispose();
        File.Delete(_path);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_right_or_wrong_prefetch_hint_does_not_change_the_bytes_copied(bool file)
    {
        using var handle = File.OpenHandle(_path);
        using var mapping = FileMapping.TryCreate(handle, Bytes)!;
        using var memory = new PrivateMemory(Bytes);
        _content.CopyTo(memory.At(0, Bytes));
        var seed = Environment.TickCount;
        var random = new Random(seed);
        long[] nonsense = [-1, long.MinValue, long.MaxValue, Bytes, Bytes - 1];
        for (var round = 0; round < 3000; round++)
        {
            var ram = _ram.Span(TestMemory.Start, Bytes);
            ram.Fill(0xEE);
            var expected = (byte[])ram.ToArray();
            var (offset, from) = (random.Next(Bytes - 40_000), (long)random.Next(20_000));
            var (start, at) = (offset, from);
            _pieces.Clear();
            for (var pieces = random.Next(1, 4); pieces > 0; pieces--)
            {
                // From less than a cache line to more than is prefetched.
                var length = random.Next(1, random.Next(2) == 0 ? 200 : 9000);
                Assert.True(_ram.Memory.TryAppend(TestMemory.Start + (ulong)at, (ulong)length, true, _pieces));
                _content.AsSpan(offset, length).CopyTo(expected.AsSpan((int)at));
                offset += length;
                at += length + random.Next(100);
            }
            var next = random.Next(3) == 0 ? nonsense[random.Next(nonsense.Length)] : random.Next(Bytes);
            if (file) Assert.True(mapping.TryRead(_pieces, start, next));
            else memory.Read(_pieces, start, next);
            Assert.True(ram.SequenceEqual(expected), $"round {round}, seed {seed}");
        }
    }

    [Fact]
    public void A_truncated_file_fails_a_read_but_not_a_prefetch()
    {
        using var handle = File.OpenHandle(_path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
        using var mapping = FileMapping.TryCreate(handle, Bytes)!;
        RandomAccess.SetLength(handle, Bytes / 2);
        for (var repeat = 0; repeat < 100; repeat++)
        {
            _pieces.Clear();
            Assert.True(_ram.Memory.TryAppend(TestMemory.Start, 2 * Page, true, _pieces));
            Assert.True(mapping.TryRead(_pieces, 0, Bytes - Page));
            Assert.True(_ram.Span(TestMemory.Start, 2 * Page).SequenceEqual(_content.AsSpan(0, 2 * Page)));
            Assert.False(mapping.TryRead(_pieces, Bytes / 2 - Page, 0));
            Assert.False(mapping.TryRead(_pieces, Bytes - 2 * Page, -1));
            // The hint is past the end of the mapping.
            Assert.True(mapping.TryRead(_pieces, 0, Bytes - 1));
        }
    }

    [Fact]
    public void A_read_past_the_end_of_the_memory_is_refused()
    {
        using var memory = new PrivateMemory(Page);
        Assert.True(_ram.Memory.TryAppend(TestMemory.Start, Page, true, _pieces));
        Assert.Throws<ArgumentOutOfRangeException>(() => memory.Read(_pieces, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => memory.Read(_pieces, -1));
        Assert.Equal((Page - 5, 0), (memory.At(5, Page).Length, memory.At(Page, 1).Length));
        Assert.Throws<IOException>(() => new PrivateMemory(1L << 60));
    }
}
