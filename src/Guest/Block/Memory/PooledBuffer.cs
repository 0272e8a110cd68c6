using System.Buffers;
using VmShunt.Ring.Memory;

namespace VmShunt.BlockDriver.Memory;

/// <summary>
/// A buffer of a <see cref="BufferPool"/>. It is lent to one renter; requests that are in flight on it, and pins, hold it,
/// too. Once nothing holds it, it returns to the pool. Any thread.
/// </summary>
internal sealed class PooledBuffer : MemoryManager<byte>
{
    private readonly BufferPool _pool;
    private readonly MemoryWindow _window;

    // Even while lent, odd while free; each renter sees another number.
    private int _version = 1;
    private int _holders;

    internal PooledBuffer(BufferPool pool, int size, GuestBuffer pages)
    {
        _pool = pool;
        _window = pages.Window;
        Size = size;
        Pages = pages;
    }

    internal BufferPool Pool => _pool;

    /// <summary>The size class, an index of the pool.</summary>
    internal int Size { get; }

    internal GuestBuffer Pages { get; }

    internal ulong Address => Pages.Address;

    /// <summary>The number of the current renter.</summary>
    internal int Version => Ordered.Load(ref _version);

    /// <summary>All bytes, for the pool's own use while it is held.</summary>
    internal Span<byte> Bytes => _window.Span;

    private bool IsLent => (Version & 1) == 0;

    /// <summary>Called by the pool's thread that has just taken it out of the free list.</summary>
    internal void Lend()
    {
        Ordered.Store(ref _holders, 1);
        Ordered.Store(ref _version, _version + 1);
    }

    /// <summary>Ends the loan to a renter; a second call for the same renter has no effect.</summary>
    internal void TakeBack(int version)
    {
        if (Interlocked.CompareExchange(ref _version, version + 1, version) == version) Release();
    }

    /// <summary>Holds the buffer for a request.</summary>
    /// <returns>False: it is not lent.</returns>
    internal bool TryHold()
    {
        var holders = Ordered.Load(ref _holders);
        while (holders > 0 && IsLent)
        {
            var seen = Interlocked.CompareExchange(ref _holders, holders + 1, holders);
            if (seen == holders) return true;
            holders = seen;
        }
        return false;
    }

    /// <summary>Releases a hold, or the loan of a renter that has no number.</summary>
    internal void Release()
    {
        if (Interlocked.Decrement(ref _holders) != 0) return;
        if (IsLent) Ordered.Store(ref _version, _version + 1);
        _pool.Return(this);
    }

    /// <summary>The first bytes as memory of a renter.</summary>
    internal Memory<byte> MemoryOf(int length) => CreateMemory(length);

    /// <exception cref="ObjectDisposedException">The buffer is not lent.</exception>
    public override Span<byte> GetSpan() => IsLent ? _window.Span : throw Disposed();

    /// <exception cref="ObjectDisposedException">The buffer is not lent.</exception>
    public override MemoryHandle Pin(int elementIndex = 0) => TryHold() ? _window.Pin(elementIndex, this) : throw Disposed();

    public override void Unpin() => Release();

    internal static ObjectDisposedException Disposed() =>
        new("BlockBuffer", "the rented buffer was disposed; keep it until the last use of its memory");

    protected override void Dispose(bool disposing)
    {
        // Its renter's handle ends the loan.
    }
}
