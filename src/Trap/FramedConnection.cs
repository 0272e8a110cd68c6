using System.Buffers;
using System.IO.Pipelines;
using System.Runtime.InteropServices;
using VmShunt.Ring.Interop;

namespace VmShunt.Trap;

/// <summary>
/// Cuts a Unix stream socket into frames. The thread that asks for a frame is the one that blocks in the socket, so a
/// frame wakes exactly one thread and nothing is allocated. One thread receives; sending may be another's, one at a time.
/// </summary>
/// <remarks>
/// Reading ahead saves the second receive of a message whose header and payload are frames of their own. The kernel then
/// joins what was sent before to the bytes that bring descriptors, but never anything behind them: a receive ends with
/// those bytes. So descriptors go with the frame that has the last byte they came with, and a message's are there once
/// all of its frames are.
/// </remarks>
public sealed class FramedConnection : IDisposable
{
    private const int ReceiveBytes = 4096;

    private readonly UnixConnection _connection;
    private readonly bool _readAhead;
    private readonly DescriptorQueue _arrived = new();
    private readonly Queue<long> _arrivedWith = new();
    private long _received, _handedOut;
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
    /// Whether a receive takes all that is there. Then <see cref="Handle"/> does not tell of what was read already, which
    /// is for <see cref="HasMore"/>; and a peer must send one message at a time, if it brings descriptors.
    /// </param>
    public FramedConnection(UnixConnection connection, bool readAhead = false)
    {
        _connection = connection;
        _readAhead = readAhead;
    }

    /// <summary>The socket's descriptor, to sleep on; owned by this object.</summary>
    public SafeHandle Handle => _connection.Handle;

    /// <summary>Descriptors that came with the frames received so far. For the receiving thread.</summary>
    public DescriptorQueue Descriptors { get; } = new();

    /// <summary>Whether bytes behind the frames received so far were read already. For the receiving thread.</summary>
    public bool HasMore => _received != _handedOut;

    /// <summary>See <see cref="UnixConnection.LimitWaits"/>.</summary>
    public void LimitWaits(TimeSpan patience) => _connection.LimitWaits(patience);

    /// <summary>Receives a frame of exactly the span's length, waiting for it.</summary>
    /// <returns>False when the peer closed the connection before the first byte.</returns>
    /// <exception cref="IOException">The connection failed, or ended inside the frame.</exception>
    public bool Receive(Span<byte> frame)
    {
        while (_received - _handedOut < frame.Length)
        {
            var here = (int)(_received - _handedOut);
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
                throw new InvalidOperationException("the pipe of a framed connection never waits");
        }
        if (!frame.IsEmpty) HandOut(frame);
        return true;
    }

    /// <summary>Receives a struct as its bytes lie in memory (little-endian, as this machine is).</summary>
    /// <returns>False when the peer closed the connection before the first byte.</returns>
    /// <exception cref="IOException">The connection failed, or ended inside the struct.</exception>
    public bool Receive<T>(out T value) where T : unmanaged
    {
        value = default;
        return Receive(MemoryMarshal.AsBytes(new Span<T>(ref value)));
    }

    /// <summary>Sends all bytes, with descriptors attached to the first. The descriptors stay the caller's.</summary>
    /// <exception cref="IOException">The peer is gone.</exception>
    public void Send(ReadOnlySpan<byte> bytes, ReadOnlySpan<SafeHandle> descriptors = default) => _connection.Send(bytes, descriptors);

    /// <summary>Sends a struct as its bytes lie in memory.</summary>
    /// <exception cref="IOException">The peer is gone.</exception>
    public void Send<T>(in T value, ReadOnlySpan<SafeHandle> descriptors = default) where T : unmanaged =>
        _connection.Send(MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in value)), descriptors);

    /// <summary>Ends both directions; a thread blocked in a receive returns. Any thread.</summary>
    public void Shutdown() => _connection.Shutdown();

    /// <summary>Closes the socket and every descriptor that nobody took.</summary>
    public void Dispose()
    {
        _connection.Dispose();
        _arrived.Dispose();
        Descriptors.Dispose();
    }

    private void HandOut(Span<byte> frame)
    {
        if (!_pipe.Reader.TryRead(out var result)) throw new InvalidOperationException("the pipe of a framed connection holds the frame");
        var bytes = result.Buffer.Slice(0, frame.Length);
        bytes.CopyTo(frame);
        _pipe.Reader.AdvanceTo(bytes.End);
        _handedOut += frame.Length;
        while (_arrivedWith.TryPeek(out var with) && with < _handedOut)
        {
            _arrivedWith.Dequeue();
            if (_arrived.TryTake(out var descriptor)) Descriptors.Add(descriptor);
        }
    }
}
