using System.Buffers.Binary;
using System.Text.Json;

namespace VmShunt.Trap.VmExit;

/// <summary>A connection that queries the hypervisor's statistics. One thread at a time.</summary>
public sealed class HypervisorObserver : IDisposable
{
    /// <summary>The largest statistics that are accepted.</summary>
    internal const int MaxJsonBytes = 64 << 20;

    private readonly FramedConnection _connection;

    private HypervisorObserver(FramedConnection connection) => _connection = connection;

    /// <summary>Connects.</summary>
    /// <param name="socket">The hypervisor's socket.</param>
    /// <exception cref="IOException">No hypervisor listens there.</exception>
    public static HypervisorObserver Connect(string socket) =>
        new(GuestPartition.Open(socket, Hello.Of(HelloKind.Observer), out _));

    /// <summary>Queries once.</summary>
    /// <exception cref="IOException">The hypervisor has disconnected, or its answer is invalid.</exception>
    public HypervisorStatistics Query()
    {
        _connection.Send((byte)'?');
        Span<byte> prefix = stackalloc byte[4];
        if (!_connection.Receive(prefix)) throw new IOException("the hypervisor closed the connection");
        var length = BinaryPrimitives.ReadUInt32LittleEndian(prefix);
        if (length > MaxJsonBytes) throw new IOException($"the hypervisor announced {length} bytes of statistics");
        var json = new byte[length];
        if (!_connection.Receive(json)) throw new IOException("the hypervisor closed the connection");
        try
        {
            return HypervisorStatistics.FromJson(json);
        }
        catch (JsonException e)
        {
            throw new IOException($"the hypervisor's statistics cannot be read: {e.Message}", e);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _connection.Dispose();
}
