using System.Diagnostics;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.ObjectPool;
using VmShunt.Ring.Memory;
using static VmShunt.BlockBackend.Disk.Nbd.NbdProtocol;

namespace VmShunt.BlockBackend.Disk.Nbd;

/// <summary>
/// A disk on another machine, over the network block device protocol. When the connection is lost, requests block while
/// the driver reconnects, and are sent again; all of them are idempotent. A request that loses several connections is sent
/// alone, and fails when it still loses them. A server that restarts may have lost writes that were not flushed: a loss.
/// </summary>
internal sealed class NbdPortDriver : PortDriver
{
    // A request that lost this many connections may be what makes the server close them.
    private const int SuspectLosses = 2;

    // A server that accepts connections and closes each at once does not get a request; there are pauses in between.
    private const int MaxUnsent = 16;

    private static readonly TimeSpan s_firstPause = TimeSpan.FromMilliseconds(100), s_longestPause = TimeSpan.FromSeconds(2);

    private readonly NbdAddress _address;
    private readonly NbdLimits _limits;
    private readonly NbdLossLog _log;
    private readonly CancellationTokenSource _stop = new();
    private readonly Lock _reconnecting = new(), _suspects = new();
    private readonly ObjectPool<NbdRequest> _requests = new DefaultObjectPool<NbdRequest>(new DefaultPooledObjectPolicy<NbdRequest>(), 64);
    private readonly int _payload;
    private NbdConnection _connection;

    // Writes that were begun, and how many of them the last flush covered.
    private long _changes, _flushed;
    private long _lossesOfWrites;

    private NbdPortDriver(NbdAddress address, NbdConnection connection, bool readOnly, ILogger log, NbdLimits limits)
    {
        _address = address;
        _log = new NbdLossLog(address.Text, log, TimeProvider.System);
        _limits = limits;
        _connection = connection;
        _payload = Math.Min(MaxPayloadBytes, connection.Export.BlockSizes.MaxPayload);
        IsReadOnly = readOnly || (connection.Export.Flags & NBD_FLAG_READ_ONLY) != 0;
        Bytes = connection.Export.Bytes;
    }

    internal override string Description => _address.Text;

    internal override string Engine => $"engine nbd, concurrent requests on one {(_address.Tls is null ? "" : "encrypted ")}connection";

    internal override DiskTopology Topology => DiskTopology.None with { MinIoBytes = Connection.Export.BlockSizes.Preferred };

    internal override int MinBlockBytes => Connection.Export.BlockSizes.Minimum;

    // Acquire: what was lost is seen with the count.
    internal override long WriteLosses => Ordered.Load(ref _lossesOfWrites);

    internal override long Bytes { get; }

    internal override bool IsReadOnly { get; }

    internal override bool DiscardIsDeterministic => false;

    // The server has private buffers, and the copies are guarded.
    internal override bool CanAbandon => BulkCopy.Unguarded is null;

    /// <summary>Connects to the server.</summary>
    /// <param name="address">The export's URI.</param>
    /// <param name="readOnly">Whether to open a writable export read-only.</param>
    /// <param name="log">For lost and restored connections.</param>
    /// <param name="limits">How long it waits for the server.</param>
    /// <exception cref="IOException">The server cannot be reached, or does not have the export.</exception>
    /// <exception cref="FormatException">The URI is invalid.</exception>
    internal static NbdPortDriver Open(string address, bool readOnly, ILogger log, NbdLimits? limits = null)
    {
        var parsed = NbdAddress.Parse(address);
        limits ??= NbdLimits.Default;
        return new NbdPortDriver(parsed, NbdConnection.Open(parsed, limits, default), readOnly, log, limits);
    }

    // Reconnect replaces it: acquire, so that the connection is seen initialized.
    private NbdConnection Connection => Ordered.Load(ref _connection);

    internal override void Read(IoVectors target, long offset)
    {
        for (var left = target.TotalBytes; left > 0;)
        {
            // The part of the last sector past the end of the export reads as zeros.
            var here = (int)Math.Min(Math.Min(left, _payload), Bytes - offset);
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
            var here = (int)Math.Min(Math.Min(left, _payload), Bytes - offset);
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
    }

    internal override bool TryDiscard(long offset, long bytes) => TryRanges(NBD_FLAG_SEND_TRIM, NbdCommand.NBD_CMD_TRIM, 0, offset, bytes);

    internal override bool TryUnmap(long offset, long bytes) => TryRanges(NBD_FLAG_SEND_WRITE_ZEROES, NbdCommand.NBD_CMD_WRITE_ZEROES, 0, offset, bytes);

    internal override void WriteZeroes(long offset, long bytes)
    {
        if (TryRanges(NBD_FLAG_SEND_WRITE_ZEROES, NbdCommand.NBD_CMD_WRITE_ZEROES, NBD_CMD_FLAG_NO_HOLE, offset, bytes)) return;
        Interlocked.Increment(ref _changes);
        for (bytes = Math.Min(bytes, Bytes - offset); bytes > 0;)
        {
            var here = (int)Math.Min(bytes, _payload);
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

    internal override void Abort()
    {
        _stop.Cancel();
        Connection.Abort("this disk is closed");
    }

    public override void Dispose()
    {
        _stop.Cancel();
        Connection.Dispose();
        _stop.Dispose();
    }

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
        for (int losses = 0, unsent = 0; !TryExecute(request, command, flags, offset, bytes, isAlone: losses >= SuspectLosses, out var lost);)
        {
            if (request.WasSent) losses++;
            else unsent++;
            if (unsent > MaxUnsent) throw new IOException($"the NBD server at {_address.Text} closes every connection at once: {lost.LossReason}");
            if (losses > _limits.Losses)
                throw new IOException($"the NBD server at {_address.Text} closed the connection each of the {losses} times that it was sent {command} of {bytes} bytes at offset {offset}: {lost.LossReason}");
            // The server may be what closes it, and may need time; so may the others that wait for it.
            Reconnect(lost, pause: losses + unsent == 1 ? TimeSpan.Zero : Backoff(Math.Max(losses, 1)));
        }
        if (request.Error == 0) return;
        // NBD's error numbers are Linux errno values.
        throw new IOException($"the NBD server at {_address.Text} failed {command} of {bytes} bytes at offset {offset}: errno {request.Error}", (int)request.Error);
    }

    private bool TryExecute(NbdRequest request, NbdCommand command, ushort flags, long offset, int bytes, bool isAlone, out NbdConnection connection)
    {
        // One suspect at a time, so that only the one at fault loses further connections.
        if (isAlone) _suspects.Enter();
        try
        {
            connection = Connection;
            return connection.TryExecute(request, command, flags, offset, bytes);
        }
        finally
        {
            if (isAlone) _suspects.Exit();
        }
    }

    /// <summary>The first caller reconnects; the others block on the lock and find the new connection.</summary>
    private void Reconnect(NbdConnection lost, TimeSpan pause)
    {
        lock (_reconnecting)
        {
            if (Connection != lost) return;
            if (Ordered.Load(ref _changes) != Ordered.Load(ref _flushed)) Interlocked.Increment(ref _lossesOfWrites);
            _log.Lost(lost.LossReason);
            if (pause > TimeSpan.Zero) Pause(pause);
            var start = Stopwatch.GetTimestamp();
            for (var tries = 1; ; tries++)
            {
                try
                {
                    var next = NbdConnection.Open(_address, _limits, _stop.Token);
                    if (Difference(next.Export) is { } difference)
                    {
                        next.Dispose();
                        throw new IOException($"the export {_address.Text} has {difference} after a reconnect: it is another disk");
                    }
                    // Release: callers load it without the lock.
                    Ordered.Store(ref _connection, next);
                    lost.Dispose();
                    _log.Back();
                    return;
                }
                catch (IOException) when (Stopwatch.GetElapsedTime(start) < _limits.Absence)
                {
                    Pause(Backoff(tries));
                }
            }
        }
    }

    private string? Difference(NbdExport next)
    {
        if (next.Bytes != Bytes) return $"{next.Bytes} bytes instead of {Bytes}";
        if (!IsReadOnly && (next.Flags & NBD_FLAG_READ_ONLY) != 0) return "no write permission any more";
        return next.BlockSizes.Minimum > MinBlockBytes || next.BlockSizes.MaxPayload < _payload ? "other block sizes" : null;
    }

    private static TimeSpan Backoff(int tries) => TimeSpan.FromTicks(Math.Min(s_firstPause.Ticks << Math.Min(tries - 1, 10), s_longestPause.Ticks));

    /// <exception cref="IOException">The disk is closed.</exception>
    private void Pause(TimeSpan time)
    {
        if (_stop.Token.WaitHandle.WaitOne(time)) throw new IOException($"the disk {_address.Text} is closed");
    }
}
