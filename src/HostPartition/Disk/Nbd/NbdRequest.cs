namespace VmShunt.HostPartition.Disk.Nbd;

/// <summary>One request's place on a connection: its buffer, and what wakes its thread. Pooled.</summary>
internal sealed class NbdRequest : IDisposable
{
    private readonly SemaphoreSlim _answered = new(0);

    /// <summary>The bytes of a read or write, behind room for the header.</summary>
    internal byte[] Buffer { get; private set; } = new byte[NbdProtocol.RequestBytes + 4096];

    /// <summary>How many bytes of data an answer brings.</summary>
    internal int ReadBytes { get; set; }

    /// <summary>The server's errno; 0 when it did what was asked.</summary>
    internal uint Error { get; private set; }

    /// <summary>The connection ended before the answer came.</summary>
    internal bool IsLost { get; private set; }

    /// <summary>The data.</summary>
    internal Span<byte> Data(int bytes) => Buffer.AsSpan(NbdProtocol.RequestBytes, bytes);

    internal void Reserve(int bytes)
    {
        if (Buffer.Length < NbdProtocol.RequestBytes + bytes) Buffer = new byte[NbdProtocol.RequestBytes + bytes];
    }

    internal void End(uint error, bool isLost)
    {
        Error = error;
        IsLost = isLost;
        _answered.Release();
    }

    internal void Wait() => _answered.Wait();

    public void Dispose() => _answered.Dispose();
}
