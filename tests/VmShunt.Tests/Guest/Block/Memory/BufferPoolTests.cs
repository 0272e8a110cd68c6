using VmShunt.BlockDriver.Memory;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Guest.Block.Memory;

/// <summary>Buffers in shared memory: who holds them, and when they are recycled.</summary>
public class BufferPoolTests
{
    private const int PoolBytes = 1 << 20;

    private readonly BufferPool _pool = MakePool();

    [Theory]
    [InlineData(1, 4096)]
    [InlineData(4096, 4096)]
    [InlineData(4097, 8192)]
    [InlineData(100_000, 131_072)]
    public void A_buffer_has_a_power_of_two_of_pages(int asked, int bytes) => Assert.Equal(bytes, _pool.Lend(asked).Bytes.Length);

    [Fact]
    public void A_buffer_is_recycled_when_nothing_holds_it()
    {
        var buffer = _pool.Lend(4096);
        Assert.True(buffer.TryHold());
        buffer.TakeBack(buffer.Version);
        Assert.NotSame(buffer, _pool.Lend(4096));
        buffer.Release();
        Assert.Same(buffer, _pool.Lend(4096));
    }

    [Fact]
    public void A_second_dispose_by_an_earlier_renter_has_no_effect_on_the_next()
    {
        var buffer = _pool.Lend(4096);
        var first = buffer.Version;
        buffer.TakeBack(first);
        Assert.Same(buffer, _pool.Lend(4096));
        buffer.TakeBack(first);
        Assert.NotSame(buffer, _pool.Lend(4096));
        Assert.Equal(4096, buffer.GetSpan().Length);
    }

    [Fact]
    public void Memory_of_a_buffer_that_was_disposed_throws()
    {
        var buffer = _pool.Lend(4096);
        var memory = buffer.MemoryOf(100);
        buffer.TakeBack(buffer.Version);
        Assert.Throws<ObjectDisposedException>(() => memory.Span.Length);
        Assert.Throws<ObjectDisposedException>(() => memory.Pin());
        Assert.Throws<ObjectDisposedException>(() => _pool.TryHold(memory, out _, out _));
        Assert.False(buffer.TryHold());
    }

    [Fact]
    public void A_part_of_a_buffer_is_held_at_its_address()
    {
        var buffer = _pool.Lend(8192);
        Assert.True(_pool.TryHold(buffer.MemoryOf(8192)[512..], out var held, out var address));
        Assert.Same(buffer, held);
        Assert.Equal(buffer.Address + 512, address);
        Assert.False(_pool.TryHold(new byte[512], out _, out _));
        Assert.False(MakePool().TryHold(buffer.MemoryOf(512), out _, out _));
    }

    [Fact]
    public async Task A_pinned_buffer_can_be_read_into_and_is_held()
    {
        var path = Path.GetTempFileName();
        await File.WriteAllBytesAsync(path, [1, 2, 3]);
        var buffer = _pool.Lend(4096);
        using (var file = File.OpenHandle(path)) Assert.Equal(3, await RandomAccess.ReadAsync(file, buffer.MemoryOf(3), 0));
        Assert.Equal([1, 2, 3], buffer.Bytes[..3].ToArray());
        var pin = buffer.MemoryOf(3).Pin();
        buffer.TakeBack(buffer.Version);
        Assert.NotSame(buffer, _pool.Lend(4096));
        pin.Dispose();
        Assert.Same(buffer, _pool.Lend(4096));
        File.Delete(path);
    }

    [Fact]
    public void Memory_that_is_used_up_is_an_error_that_says_what_to_do_and_returned_buffers_of_other_sizes_are_reused()
    {
        var small = Enumerable.Range(0, PoolBytes / 4096).Select(_ => _pool.Lend(4096)).ToArray();
        Assert.Contains("BlockDiskOptions.SharedMemoryBytes", Assert.Throws<InvalidOperationException>(() => _pool.Lend(8192)).Message, StringComparison.Ordinal);
        foreach (var buffer in small) buffer.Release();
        Assert.Equal(PoolBytes, _pool.Lend(PoolBytes).Bytes.Length);
    }

    [Fact]
    public void A_closed_pool_keeps_the_memory_until_the_last_buffer_is_back()
    {
        var (buffer, free) = (_pool.Lend(4096), _pool.Lend(4096));
        free.Release();
        _pool.Close();
        buffer.Bytes.Fill(1);
        Assert.Throws<ObjectDisposedException>(() => _pool.Lend(4096));
        Assert.False(_pool.IsUnmapped);
        buffer.Release();
        Assert.True(_pool.IsUnmapped);
    }

    [Fact]
    public void Lending_allocates_nothing() => Assert.Equal(0, Allocation.OfHundred(() =>
    {
        var buffer = _pool.Lend(4096);
        buffer.TakeBack(buffer.Version);
    }));

    private static BufferPool MakePool()
    {
        var ram = GuestRam.Create(PoolBytes, "test");
        return new BufferPool(ram, new GuestPages(ram, 0, PoolBytes));
    }
}
