using VmShunt.Ring.Files;

namespace VmShunt.BlockBackend.Disk;

/// <summary>A pool of aligned buffers for requests whose guest memory is not aligned. Any thread; no lock.</summary>
internal sealed class BouncePool(int bytes, int alignment) : IDisposable
{
    // Enough for the threads that are likely to need one at a time; further buffers are not pooled.
    private readonly AlignedBuffer?[] _kept = new AlignedBuffer?[16];

    internal AlignedBuffer Rent()
    {
        for (var i = 0; i < _kept.Length; i++)
            if (Interlocked.Exchange(ref _kept[i], null) is { } buffer) return buffer;
        return new AlignedBuffer(bytes, alignment);
    }

    internal void Return(AlignedBuffer buffer)
    {
        for (var i = 0; i < _kept.Length; i++)
            if (Interlocked.CompareExchange(ref _kept[i], buffer, null) is null) return;
        buffer.Dispose();
    }

    public void Dispose()
    {
        for (var i = 0; i < _kept.Length; i++) Interlocked.Exchange(ref _kept[i], null)?.Dispose();
    }
}
