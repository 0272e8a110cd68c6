using Microsoft.Extensions.Logging;
using Microsoft.Extensions.ObjectPool;
using VmShunt.HostPartition.Log;
using VmShunt.Ring.Memory;
using static VmShunt.HostPartition.Disk.Nbd.NbdProtocol;

namespace VmShunt.HostPartition.Disk.Nbd;

/// <summary>
/// A disk on another machine, over the network block device protocol. While the server is away requests wait, for a while,
/// and are sent again when it is back; every one of them may be done twice without harm. What the server had not been told
/// to keep may have gone with it, so the next flush fails then.
/// </summary>
internal sealed class NbdPortDriver : PortDriver
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(10), s_pause = TimeSpan.FromMilliseconds(100);

    private readonly NbdAddress _address;
    private readonly ILogger _log;
    private readonly Lock _reconnecting = new();
    private readonly ObjectPool<NbdRequest> _requests = new DefaultObjectPool<NbdRequest>(new DefaultPooledObjectPolicy<NbdRequest>(), 64);
    private NbdConnection _connection;
    private long _changes, _kept;
    private int _mayHaveLost;

    private NbdPortDriver(NbdAddress address, NbdConnection connection, bool readOnly, ILogger log)
    {
        _address = address;
        _log = log;
        _connection = connection;
        IsReadOnly = readOnly || (connection.Flags & NBD_FLAG_READ_ONLY) != 0;
        Bytes = connection.Bytes;
    }

    internal override string Description => _address.Text;

    internal override long Bytes { get; }

    internal override bool IsReadOnly { get; }

    internal override bool DiscardIsDeterministic => false;

    /// <summary>Connects to the server.</summary>
    /// <exception cref="IOException">It is not there, or has no such export.</exception>
    /// <exception cref="FormatException">The address is none.</exception>
    internal static NbdPortDriver Open(string address, bool readOnly, ILogger log)
    {
        var parsed = NbdAddress.Parse(address);
        return new NbdPortDriver(parsed, NbdConnection.Open(parsed), readOnly, log);
    }

    internal override void Read(IoVectors target, long offset)
    {
        for (var left = target.TotalBytes; left > 0;)
        {
            // Past the end of the export lies the rest of the last sector, which is zeros.
            var here = (int)Math.Min(Math.Min(left, MaxPayloadBytes), Bytes - offset);
            if (here <= 0)
            {
                target.Zero();
                return;
            }
            var request = Take(here);
            try
            {
                Do(request, NbdCommand.NBD_CMD_READ, 0, offset, here);
                target.CopyFrom(request.Data(here));
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
            var request = Take(here);
            try
            {
                source.CopyTo(request.Data(here));
                Interlocked.Increment(ref _changes);
                Do(request, NbdCommand.NBD_CMD_WRITE, 0, offset, here);
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
        // Writes that come now are the next flush's.
        var changes = Interlocked.Read(ref _changes);
        if ((_connection.Flags & NBD_FLAG_SEND_FLUSH) != 0) Do(NbdCommand.NBD_CMD_FLUSH, 0, 0, 0);
        Interlocked.Exchange(ref _kept, changes);
        if (Interlocked.Exchange(ref _mayHaveLost, 0) != 0)
            throw new IOException($"the NBD server at {_address.Text} was away, and may not have kept what was written before");
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
            var request = Take(here);
            try
            {
                request.Data(here).Clear();
                Do(request, NbdCommand.NBD_CMD_WRITE, 0, offset, here);
            }
            finally
            {
                _requests.Return(request);
            }
            offset += here;
            bytes -= here;
        }
    }

    public override void Dispose() => _connection.Dispose();

    private NbdRequest Take(int bytes)
    {
        var request = _requests.Get();
        request.Reserve(bytes);
        return request;
    }

    private bool TryRanges(ushort flag, NbdCommand command, ushort commandFlags, long offset, long bytes)
    {
        if ((_connection.Flags & flag) == 0) return false;
        Interlocked.Increment(ref _changes);
        for (bytes = Math.Min(bytes, Bytes - offset); bytes > 0;)
        {
            var here = (int)Math.Min(bytes, 1 << 30);
            Do(command, commandFlags, offset, here);
            offset += here;
            bytes -= here;
        }
        return true;
    }

    private void Do(NbdCommand command, ushort flags, long offset, int bytes)
    {
        var request = _requests.Get();
        try
        {
            Do(request, command, flags, offset, bytes);
        }
        finally
        {
            _requests.Return(request);
        }
    }

    private void Do(NbdRequest request, NbdCommand command, ushort flags, long offset, int bytes)
    {
        while (true)
        {
            var connection = _connection;
            if (!connection.TryDo(request, command, flags, offset, bytes))
            {
                Reconnect(connection);
                continue;
            }
            if (request.Error == 0) return;
            // The protocol's errors have the numbers of Linux.
            throw new IOException($"the NBD server at {_address.Text} could not do {command} of {bytes} bytes at {offset}: errno {request.Error}", (int)request.Error);
        }
    }

    /// <summary>Whoever comes first connects again; the others wait for that.</summary>
    private void Reconnect(NbdConnection lost)
    {
        lock (_reconnecting)
        {
            if (_connection != lost) return;
            if (Interlocked.Read(ref _changes) != Interlocked.Read(ref _kept)) Interlocked.Exchange(ref _mayHaveLost, 1);
            _log.NbdLost(_address.Text);
            for (var waited = TimeSpan.Zero; ; waited += s_pause)
            {
                try
                {
                    var next = NbdConnection.Open(_address);
                    if (next.Bytes != Bytes)
                    {
                        next.Dispose();
                        throw new IOException($"the NBD server at {_address.Text} is back with {next.Bytes} bytes instead of {Bytes}; that is another disk");
                    }
                    Interlocked.Exchange(ref _connection, next);
                    lost.Dispose();
                    _log.NbdBack(_address.Text);
                    return;
                }
                catch (IOException) when (waited < s_patience)
                {
                    Thread.Sleep(s_pause);
                }
            }
        }
    }
}
