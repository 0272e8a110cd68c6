using Microsoft.Extensions.Logging;
using Microsoft.Extensions.ObjectPool;
using VmShunt.BlockBackend.Log;
using VmShunt.Ring.Memory;
using static VmShunt.BlockBackend.Disk.Nbd.NbdProtocol;

namespace VmShunt.BlockBackend.Disk.Nbd;

/// <summary>
/// A disk on another machine, over the network block device protocol. When the connection is lost, requests block while
/// the driver reconnects, and are sent again; all of them are idempotent. A server that restarts may have lost writes that
/// were not flushed, so the next flush fails once.
/// </summary>
internal sealed class NbdPortDriver : PortDriver
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(10), s_pause = TimeSpan.FromMilliseconds(100);

    private readonly NbdAddress _address;
    private readonly TimeSpan _patience;
    private readonly ILogger _log;
    private readonly Lock _reconnecting = new();
    private readonly ObjectPool<NbdRequest> _requests = new DefaultObjectPool<NbdRequest>(new DefaultPooledObjectPolicy<NbdRequest>(), 64);
    private NbdConnection _connection;

    // Writes that were begun, and how many of them the last flush covered.
    private long _changes, _flushed;
    private int _mayHaveLostWrites;

    private NbdPortDriver(NbdAddress address, NbdConnection connection, bool readOnly, ILogger log, TimeSpan patience)
    {
        _address = address;
        _log = log;
        _patience = patience;
        _connection = connection;
        IsReadOnly = readOnly || (connection.Export.Flags & NBD_FLAG_READ_ONLY) != 0;
        Bytes = connection.Export.Bytes;
    }

    internal override string Description => _address.Text;

    internal override string Engine => "engine nbd, concurrent requests on one connection";

    internal override long Bytes { get; }

    internal override bool IsReadOnly { get; }

    internal override bool DiscardIsDeterministic => false;

    // The server has private buffers, and the copies are guarded.
    internal override bool CanAbandon => BulkCopy.Unguarded is null;

    /// <summary>Connects to the server.</summary>
    /// <param name="address">The export's URI.</param>
    /// <param name="readOnly">Whether to open a writable export read-only.</param>
    /// <param name="log">For lost and restored connections.</param>
    /// <param name="patience">How long a request waits for a lost server; 10 seconds by default.</param>
    /// <exception cref="IOException">The server cannot be reached, or does not have the export.</exception>
    /// <exception cref="FormatException">The URI is invalid.</exception>
    internal static NbdPortDriver Open(string address, bool readOnly, ILogger log, TimeSpan? patience = null)
    {
        var parsed = NbdAddress.Parse(address);
        return new NbdPortDriver(parsed, NbdConnection.Open(parsed), readOnly, log, patience ?? s_patience);
    }

    // Reconnect replaces it: acquire, so that the connection is seen initialized.
    private NbdConnection Connection => Ordered.Load(ref _connection);

    internal override void Read(IoVectors target, long offset)
    {
        for (var left = target.TotalBytes; left > 0;)
        {
            // The part of the last sector past the end of the export reads as zeros.
            var here = (int)Math.Min(Math.Min(left, MaxPayloadBytes), Bytes - offset);
            if (here <= 0)
            {
                target.Zero();
                return;
            }
            var request = Rent(here);
            try
            {
                Execute(request, NbdCommand.NBD_CMD_READ, 0, offset, here);
                target.CopyFrom(request.Data(here), isGuarded: true);
            }
            finally
            {
                _requests.Return(request);
            }
            target.Skip(here);
            offset += here;
            left -= here;
        }
    }

    internal override void Write(IoVectors source, long offset)
    {
        for (var left = source.TotalBytes; left > 0;)
        {
            var here = (int)Math.Min(Math.Min(left, MaxPayloadBytes), Bytes - offset);
            if (here <= 0) return;
            var request = Rent(here);
            try
            {
                source.CopyTo(request.Data(here), isGuarded: true);
                Interlocked.Increment(ref _changes);
                Execute(request, NbdCommand.NBD_CMD_WRITE, 0, offset, here);
            }
            finally
            {
                _requests.Return(request);
            }
            source.Skip(here);
            offset += here;
            left -= here;
        }
    }

    internal override void Flush()
    {
        if (IsReadOnly) return;
        // Counted before the command is sent: writes that begin later are not covered by this flush.
        var changes = Ordered.Load(ref _changes);
        if ((Connection.Export.Flags & NBD_FLAG_SEND_FLUSH) != 0) Execute(NbdCommand.NBD_CMD_FLUSH, 0, 0, 0);
        Ordered.Store(ref _flushed, changes);
        if (Interlocked.Exchange(ref _mayHaveLostWrites, 0) != 0)
            throw new IOException($"the connection to the NBD server at {_address.Text} was lost since the last flush; writes before that may be lost");
    }

    internal override bool TryDiscard(long offset, long bytes) => TryRanges(NBD_FLAG_SEND_TRIM, NbdCommand.NBD_CMD_TRIM, 0, offset, bytes);

    internal override bool TryUnmap(long offset, long bytes) => TryRanges(NBD_FLAG_SEND_WRITE_ZEROES, NbdCommand.NBD_CMD_WRITE_ZEROES, 0, offset, bytes);

    internal override void WriteZeroes(long offset, long bytes)
    {
        if (TryRanges(NBD_FLAG_SEND_WRITE_ZEROES, NbdCommand.NBD_CMD_WRITE_ZEROES, NBD_CMD_FLAG_NO_HOLE, offset, bytes)) return;
        Interlocked.Increment(ref _changes);
        for (bytes = Math.Min(bytes, Bytes - offset); bytes > 0;)
        {
            var here = (int)Math.Min(bytes, MaxPayloadBytes);
            var request = Rent(here);
            try
            {
                request.Data(here).Clear();
                Execute(request, NbdCommand.NBD_CMD_WRITE, 0, offset, here);
            }
            finally
            {
                _requests.Return(request);
            }
            offset += here;
            bytes -= here;
        }
    }

    public override void Dispose() => Connection.Dispose();

    private NbdRequest Rent(int bytes)
    {
        var request = _requests.Get();
        request.Reserve(bytes);
        return request;
    }

    private bool TryRanges(ushort flag, NbdCommand command, ushort commandFlags, long offset, long bytes)
    {
        if ((Connection.Export.Flags & flag) == 0) return false;
        Interlocked.Increment(ref _changes);
        for (bytes = Math.Min(bytes, Bytes - offset); bytes > 0;)
        {
            var here = (int)Math.Min(bytes, 1 << 30);
            Execute(command, commandFlags, offset, here);
            offset += here;
            bytes -= here;
        }
        return true;
    }

    private void Execute(NbdCommand command, ushort flags, long offset, int bytes)
    {
        var request = _requests.Get();
        try
        {
            Execute(request, command, flags, offset, bytes);
        }
        finally
        {
            _requests.Return(request);
        }
    }

    private void Execute(NbdRequest request, NbdCommand command, ushort flags, long offset, int bytes)
    {
        while (true)
        {
            var connection = Connection;
            if (!connection.TryExecute(request, command, flags, offset, bytes))
            {
                Reconnect(connection);
                continue;
            }
            if (request.Error == 0) return;
            // NBD's error numbers are Linux errno values.
            throw new IOException($"the NBD server at {_address.Text} failed {command} of {bytes} bytes at offset {offset}: errno {request.Error}", (int)request.Error);
        }
    }

    /// <summary>The first caller reconnects; the others block on the lock and find the new connection.</summary>
    private void Reconnect(NbdConnection lost)
    {
        lock (_reconnecting)
        {
            if (Connection != lost) return;
            if (Ordered.Load(ref _changes) != Ordered.Load(ref _flushed)) Interlocked.Exchange(ref _mayHaveLostWrites, 1);
            _log.NbdLost(_address.Text);
            for (var waited = TimeSpan.Zero; ; waited += s_pause)
            {
                try
                {
                    var next = NbdConnection.Open(_address);
                    if (next.Export.Bytes != Bytes)
                    {
                        next.Dispose();
                        throw new IOException($"the export {_address.Text} has {next.Export.Bytes} bytes after a reconnect instead of {Bytes}: it is another disk");
                    }
                    // Release: callers load it without the lock.
                    Ordered.Store(ref _connection, next);
                    lost.Dispose();
                    _log.NbdBack(_address.Text);
                    return;
                }
                catch (IOException) when (waited < _patience)
                {
                    Thread.Sleep(s_pause);
                }
            }
        }
    }
}
