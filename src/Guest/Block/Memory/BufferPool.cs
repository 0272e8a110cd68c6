using System.Collections.Concurrent;
using System.Numerics;
using System.Runtime.InteropServices;
using VmShunt.Ring.Memory;

namespace VmShunt.BlockDriver.Memory;

/// <summary>
/// Recycles buffers of shared memory, in sizes of a power of two from one page. In steady state lending and returning take
/// no lock and allocate nothing. Any thread.
/// </summary>
/// <param name="ram">The memory, which the pool owns: it is unmapped once the pool is closed and every buffer is back.</param>
/// <param name="pages">Allocates from that memory.</param>
internal sealed class BufferPool(GuestRam ram, GuestPages pages)
{
    private const int PageShift = 12, Sizes = 19;

    /// <summary>The longest buffer: 1 GiB.</summary>
    internal const int MaxBytes = 1 << (PageShift + Sizes - 1);

    private readonly ConcurrentQueue<PooledBuffer>[] _free = [.. Enumerable.Range(0, Sizes).Select(static _ => new ConcurrentQueue<PooledBuffer>())];
    private readonly SharedFlag _closed = new();
    private readonly Lock _lock = new();

    // Under the lock: the buffers that are lent or free, and whether the memory was unmapped.
    private int _buffers;
    private bool _isUnmapped;

    /// <summary>Whether the memory was unmapped.</summary>
    internal bool IsUnmapped
    {
        get
        {
            lock (_lock) return _isUnmapped;
        }
    }

    /// <summary>Lends a buffer of at least that length, which is not cleared.</summary>
    /// <exception cref="InvalidOperationException">The memory is used up.</exception>
    /// <exception cref="ObjectDisposedException">The pool is closed.</exception>
    internal PooledBuffer Lend(int bytes)
    {
        var size = SizeOf(bytes);
        if (!_free[size].TryDequeue(out var buffer)) buffer = Create(size);
        buffer.Lend();
        return buffer;
    }

    /// <summary>Holds the buffer behind memory of a renter of this pool.</summary>
    /// <returns>False: it is other memory.</returns>
    /// <exception cref="ObjectDisposedException">The renter has disposed the buffer.</exception>
    internal bool TryHold(ReadOnlyMemory<byte> memory, out PooledBuffer? buffer, out ulong address)
    {
        address = 0;
        if (!MemoryMarshal.TryGetMemoryManager(memory, out buffer, out var start, out _) || buffer.Pool != this)
        {
            buffer = null;
            return false;
        }
        if (!buffer.TryHold()) throw PooledBuffer.Disposed();
        address = buffer.Address + (ulong)start;
        return true;
    }

    /// <summary>Called by a buffer that nothing holds any more.</summary>
    internal void Return(PooledBuffer buffer)
    {
        _free[buffer.Size].Enqueue(buffer);
        // Should this load miss a concurrent Close that misses the buffer, the garbage collector unmaps the memory.
        if (_closed.IsRaised) Sweep();
    }

    /// <summary>Lends no more new buffers, and unmaps the memory once the last buffer is back.</summary>
    internal void Close()
    {
        _closed.Raise();
        Sweep();
    }

    private static int SizeOf(int bytes) => bytes <= 1 << PageShift ? 0 : BitOperations.Log2((uint)bytes - 1) + 1 - PageShift;

    private PooledBuffer Create(int size)
    {
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_closed.IsRaised, this);
            var bytes = 1 << (size + PageShift);
            if (!TryAllocate(bytes, out var buffer))
            {
                FreeReturned();
                if (!TryAllocate(bytes, out buffer))
                    throw new InvalidOperationException(
                        $"no {bytes:n0} contiguous bytes of the disk's shared memory are free: "
                        + "dispose rented buffers, have fewer requests in flight, or raise BlockDiskOptions.SharedMemoryBytes");
            }
            _buffers++;
            return new PooledBuffer(this, size, buffer);
        }
    }

    private bool TryAllocate(int bytes, out GuestBuffer buffer)
    {
        try
        {
            buffer = pages.Allocate(bytes);
            return true;
        }
        catch (InvalidOperationException)
        {
            buffer = default;
            return false;
        }
    }

    private void Sweep()
    {
        lock (_lock)
        {
            FreeReturned();
            if (_buffers > 0 || _isUnmapped) return;
            _isUnmapped = true;
            ram.Unmap();
        }
    }

    // Under the lock.
    private void FreeReturned()
    {
        foreach (var buffers in _free)
        {
            while (buffers.TryDequeue(out var buffer))
            {
                pages.Free(buffer.Pages);
                _buffers--;
            }
        }
    }
}
