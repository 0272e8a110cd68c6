using VmShunt.BlockDriver.Memory;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Guest.Block.Memory;

public class GuestPagesTests
{
    private const int Memory = 16 << 20;

    [Fact]
    public void Random_buffers_never_overlap_are_zeroed_and_merge_again_when_freed()
    {
        var seed = Environment.TickCount;
        var random = new Random(seed);
        var pages = Buffers.NewPages(Memory);
        var largest = LargestFree(pages);
        var held = new List<GuestBuffer>();
        for (var step = 0; step < 2000; step++)
        {
            if (held.Count > 0 && random.Next(3) == 0)
            {
                var at = random.Next(held.Count);
                pages.Free(held[at]);
                held.RemoveAt(at);
                continue;
            }
            GuestBuffer buffer;
            try
            {
                buffer = pages.Allocate(random.Next(1, 300_000));
            }
            catch (InvalidOperationException)
            {
                continue;
            }
            Assert.True(buffer.Address % 4096 == 0, $"seed {seed}");
            Assert.True(buffer.Span.IndexOfAnyExcept((byte)0) < 0, $"seed {seed}: a buffer is not zeroed");
            Assert.True(held.All(b => b.Address + (ulong)b.Length <= buffer.Address || buffer.Address + (ulong)buffer.Length <= b.Address), $"seed {seed}");
            buffer.Span.Fill(0xEE);
            held.Add(buffer);
        }
        foreach (var buffer in held) pages.Free(buffer);
        Assert.True(LargestFree(pages) == largest, $"seed {seed}: free memory is fragmented");
    }

    [Fact]
    public void An_allocation_that_does_not_fit_fails_with_the_option_to_change()
    {
        var failure = Assert.Throws<InvalidOperationException>(() => Buffers.NewPages(Memory).Allocate(Memory));
        Assert.Contains("--memory", failure.Message, StringComparison.Ordinal);
    }

    private static int LargestFree(GuestPages pages)
    {
        for (var size = Memory; ; size -= 4096)
        {
            try
            {
                pages.Free(pages.Allocate(size));
                return size;
            }
            catch (InvalidOperationException)
            {
                // Try a smaller size.
            }
        }
    }
}
