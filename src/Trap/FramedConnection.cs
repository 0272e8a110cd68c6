using System.Buffers;
using System.IO.Pipelines;
using System.Runtime.InteropServices;
using VmShunt.Ring.Interop;

namespace VmShunt.Trap;

/// <summary>
/// Cuts a Unix stream socket into frames. The thread that asks for a frame is the one that blocks in the socket, so a
/// frame wakes exactly one thread and nothing is allocated. One thread receives; sending may be another's, one at a time.
/// It never reads past the frame that is asked for: the kernel would join a later message's bytes to it and hand out
/// that message's descriptors too early.
/// </summary>
public sealed class FramedConnection : IDisposable
{
    private const int ReceiveBytes = 4096;

    private readonly UnixConnection _connection;
    private readonly Pipe _pipe = new(new PipeOptions(
        readerScheduler: PipeScheduler.Inline,
        writerScheduler: PipeScheduler.Inline,
        pauseWriterThreshold: 0,
        resumeWriterThreshold: 0,
        minimumSegmentSize: ReceiveBytes,
        useSynchronizationContext: false));

    /// <summary>Takes ownership of a connected socket.</summary>
    public FramedConnection(UnixConnection connection) => _connection = connection;

    /// <summary>The socket's descriptor, to sleep on; owned by this object.</summary>
    public SafeHandle Handle => _connection.Handle;

    /// <summary>Descriptors that came with the frames received so far. For the receiving thread.</summary>
    public DescriptorQueue Descriptors { get; } = new();

    /// <summary>See <see cref="UnixConnection.LimitWaits"/>.</summary>
    public void LimitWaits(TimeSpan patience) => _connection.LimitWaits(patience);

    /// <summary>Receives a frame of exactly the span's length, waiting for it.</summary>
    /// <returns>False when the peer closed the connection before the first byte.</returns>
    /// <exception cref="IOException">The connection failed, or ended inside the frame.</exception>
    public bool Receive(Span<byte> frame)
    {
        for (var received = 0; received < frame.Length;)
        {
            var wanted = Math.Min(frame.Length - received, ReceiveBytes);
            var n = _connection.Receive(_pipe.Writer.GetSpan(ReceiveBytes)[..wanted], Descriptors);
            if (n == 0)
            {
                return received == 0
                    ? false
                    : throw new IOException($"the peer closed the connection after {received} of {frame.Length} bytes of a message");
            }
            received += n;
            _pipe.Writer.Advance(n);
            var flushed = _pipe.Writer.FlushAsync();
            if (!flushed.IsCompletedSuccessfully)
                throw new InvalidOperationException("the pipe of a framed connection never waits");
        }
        if (frame.IsEmpty) return true;
        if (!_pipe.Reader.TryRead(out var result)) throw new InvalidOperationException("the pipe of a framed connection holds the frame");
        result.Buffer.CopyTo(frame);
        _pipe.Reader.AdvanceTo(result.Buffer.End);
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
        Descriptors.Dispose();
    }
}
