namespace VmShunt.BlockBackend.Disk.Nbd;

/// <summary>A request on a connection: its buffer and what wakes its caller. Pooled.</summary>
internal sealed class NbdRequest : IDisposable
{
    private readonly SemaphoreSlim _completed = new(0);

    /// <summary>The header, followed by the data of a read or write.</summary>
    internal byte[] Buffer { get; private set; } = new byte[NbdProtocol.RequestBytes + 4096];

    /// <summary>How many bytes of data a successful reply carries.</summary>
    internal int ReadBytes { get; set; }

    /// <summary>The server's errno, or 0.</summary>
    internal uint Error { get; private set; }

    /// <summary>Whether the connection was lost before the reply arrived.</summary>
    internal bool IsLost { get; private set; }

    /// <summary>Whether it was sent: a connection that was lost before loses no request.</summary>
    internal bool WasSent { get; set; }

    internal Span<byte> Data(int bytes) => Buffer.AsSpan(NbdProtocol.RequestBytes, bytes);

    internal void Reserve(int bytes)
    {
        if (Buffer.Length < NbdProtocol.RequestBytes + bytes) Buffer = new byte[NbdProtocol.RequestBytes + bytes];
    }

    internal void Complete(uint error, bool isLost)
    {
        Error = error;
        IsLost = isLost;
        _completed.Release();
    }

    /// <returns>False: not within this time.</returns>
    internal bool Wait(int milliseconds) => _completed.Wait(milliseconds);

    public void Dispose() => _completed.Dispose();
}
