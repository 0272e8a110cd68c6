namespace VmShunt.BlockBackend.Disk.Nbd;

/// <summary>Whole messages on a stream.</summary>
internal static class NbdStream
{
    /// <exception cref="EndOfStreamException">The server closed the connection before the last byte.</exception>
    internal static void ReceiveAll(Stream stream, Span<byte> bytes)
    {
        while (bytes.Length > 0)
        {
            var received = stream.Read(bytes);
            if (received == 0) throw new EndOfStreamException("the server closed the connection");
            bytes = bytes[received..];
        }
    }
}
