using System.Buffers;
using VmShunt.BlockDriver.Memory;

namespace VmShunt.BlockDriver;

/// <summary>
/// A buffer in the memory that a disk shares with its back-end: requests on it are not copied. <see cref="BlockDisk.Rent"/>
/// returns it; disposing it recycles the memory, at once, or when the back-end has returned the last request in flight on
/// it. A handle: copies of it are the same buffer. Any thread.
/// </summary>
/// <remarks>
/// While a request is in flight, its bytes belong to the back-end, which may write at any time: read what you judge once.
/// Memory that was taken from a buffer must not be used after the buffer was disposed, nor a span after that or after the
/// disk was disposed: until the memory is rented again such a use throws, after that it touches the next renter's buffer.
/// A buffer that is never disposed stays allocated until the disk is disposed.
/// </remarks>
public readonly struct BlockBuffer : IMemoryOwner<byte>
{
    private readonly PooledBuffer? _buffer;
    private readonly int _version;

    internal BlockBuffer(PooledBuffer buffer, int length)
    {
        _buffer = buffer;
        _version = buffer.Version;
        Length = length;
    }

    /// <summary>The length in bytes, as it was asked for.</summary>
    public int Length { get; }

    /// <summary>The bytes, for asynchronous requests. Rented memory is not cleared: it may hold data of earlier requests to the same disk.</summary>
    /// <exception cref="ObjectDisposedException">The buffer was disposed.</exception>
    public Memory<byte> Memory => Lent().MemoryOf(Length);

    /// <summary>The bytes.</summary>
    /// <exception cref="ObjectDisposedException">The buffer was disposed.</exception>
    public Span<byte> Span => Lent().Bytes[..Length];

    /// <summary>Recycles the memory; a second call has no effect.</summary>
    public void Dispose() => _buffer?.TakeBack(_version);

    private PooledBuffer Lent() => _buffer is { } buffer && buffer.Version == _version ? buffer : throw PooledBuffer.Disposed();
}
