using System.Buffers;
using System.IO.Pipelines;
using System.Runtime.InteropServices;
using VmShunt.Ring.Interop;

namespace VmShunt.Trap;

/// <summary>
/// Splits a Unix stream socket into frames. The receiving thread blocks in the socket itself, so a frame wakes exactly one
/// thread and allocates nothing. One thread receives and one sends; they may differ.
/// </summary>
/// <remarks>
/// Reading ahead saves the second receive of a message whose header and payload are separate frames. A receive may return
/// earlier bytes together with those that carry descriptors, but none after them (unix(7)). So descriptors belong to the
/// frame with the last byte of their receive, and all descriptors of a message are available after its last frame.
/// </remarks>
public sealed class FramedConnection : IDisposable
{
    private const int ReceiveBytes = 4096;

    private readonly UnixConnection _connection;
    private readonly bool _readAhead;
    private readonly DescriptorQueue _arrived = new();
    private readonly Queue<long> _arrivedWith = new();
    private long _received, _delivered;
    private readonly Pipe _pipe = new(new PipeOptions(
        readerScheduler: PipeScheduler.Inline,
        writerScheduler: PipeScheduler.Inline,
        pauseWriterThreshold: 0,
        resumeWriterThreshold: 0,
        minimumSegmentSize: ReceiveBytes,
        useSynchronizationContext: false));

    /// <summary>Takes ownership of a connected socket.</summary>
    /// <param name="connection">The socket.</param>
    /// <param name="readAhead">
    /// Whether a receive takes everything available. Then <see cref="HasMore"/> reports bytes that were read already, for
    /// which <see cref="Handle"/> is not readable, and a peer must send messages with descriptors one at a time.
    /// </param>
    public FramedConnection(UnixConnection connection, bool readAhead = false)
    {
        _connection = connection;
        _readAhead = readAhead;
    }

    /// <summary>The socket's descriptor, to wait on; owned by this object.</summary>
    public SafeHandle Handle => _connection.Handle;

    /// <summary>Descriptors received with the frames so far. For the receiving thread.</summary>
    public DescriptorQueue Descriptors { get; } = new();

    /// <summary>Whether bytes after the frames received so far were read already. For the receiving thread.</summary>
    public bool HasMore => _received != _delivered;

    /// <summary>See <see cref="UnixConnection.SetTimeout"/>.</summary>
    public void SetTimeout(TimeSpan responseTimeout) => _connection.SetTimeout(responseTimeout);

    /// <summary>Receives a frame of exactly the span's length; blocks until it is complete.</summary>
    /// <returns>False when the peer closed the connection before the first byte.</returns>
    /// <exception cref="IOException">The connection failed, or was closed inside the frame.</exception>
    public bool Receive(Span<byte> frame)
    {
        while (_received - _delivered < frame.Length)
        {
            var here = (int)(_received - _delivered);
            var space = _pipe.Writer.GetSpan(ReceiveBytes);
            var n = _connection.Receive(_readAhead ? space : space[..Math.Min(frame.Length - here, ReceiveBytes)], _arrived);
            if (n == 0)
            {
                return here == 0
                    ? false
                    : throw new IOException($"the peer closed the connection after {here} of {frame.Length} bytes of a message");
            }
            _received += n;
            while (_arrivedWith.Count < _arrived.Count) _arrivedWith.Enqueue(_received - 1);
            _pipe.Writer.Advance(n);
            var flushed = _pipe.Writer.FlushAsync();
            if (!flushed.IsCompletedSuccessfully)
                throw new InvalidOperationException("the pipe of a framed connection never blocks");
        }
        if (!frame.IsEmpty) Deliver(frame);
        return true;
    }

    /// <summary>Receives a struct in its memory layout (little-endian, as this machine is).</summary>
    /// <returns>False when the peer closed the connection before the first byte.</returns>
    /// <exception cref="IOException">The connection failed, or was closed inside the struct.</exception>
    public bool Receive<T>(out T value) where T : unmanaged
    {
        value = default;
        return Receive(MemoryMarshal.AsBytes(new Span<T>(ref value)));
    }

    /// <summary>Sends all bytes, with descriptors attached to the first. The descriptors stay the caller's.</summary>
    /// <exception cref="IOException">The peer has disconnected.</exception>
    public void Send(ReadOnlySpan<byte> bytes, ReadOnlySpan<SafeHandle> descriptors = default) => _connection.Send(bytes, descriptors);

    /// <summary>Sends a struct in its memory layout.</summary>
    /// <exception cref="IOException">The peer has disconnected.</exception>
    public void Send<T>(in T value, ReadOnlySpan<SafeHandle> descriptors = default) where T : unmanaged =>
        _connection.Send(MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in value)), descriptors);

    /// <summary>Shuts both directions down; a thread blocked in a receive returns. Any thread.</summary>
    public void Shutdown() => _connection.Shutdown();

    /// <summary>Closes the socket and every descriptor that was not taken.</summary>
    public void Dispose()
    {
        _connection.Dispose();
        _arrived.Dispose();
        Descriptors.Dispose();
    }

    private void Deliver(Span<byte> frame)
    {
        if (!_pipe.Reader.TryRead(out var result)) throw new InvalidOperationException("the pipe of a framed connection lacks the frame");
        var bytes = result.Buffer.Slice(0, frame.Length);
        bytes.CopyTo(frame);
        _pipe.Reader.AdvanceTo(bytes.End);
        _delivered += frame.Length;
        while (_arrivedWith.TryPeek(out var with) && with < _delivered)
        {
            _arrivedWith.Dequeue();
            if (_arrived.TryTake(out var descriptor)) Descriptors.Add(descriptor);
        }
    }
}
