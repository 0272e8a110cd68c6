using System.Net.Sockets;

namespace VmShunt.BlockBackend.Disk.Nbd;

/// <summary>Whole messages on a stream socket.</summary>
internal static class NbdStream
{
    internal static void SendAll(Socket socket, ReadOnlySpan<byte> bytes)
    {
        while (bytes.Length > 0) bytes = bytes[socket.Send(bytes)..];
    }

    /// <exception cref="EndOfStreamException">The server closed the connection before the last byte.</exception>
    internal static void ReceiveAll(Socket socket, Span<byte> bytes)
    {
        while (bytes.Length > 0)
        {
            var received = socket.Receive(bytes);
            if (received == 0) throw new EndOfStreamException("the server closed the connection");
            bytes = bytes[received..];
        }
    }
}
