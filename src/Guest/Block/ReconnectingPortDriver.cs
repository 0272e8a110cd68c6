using VmShunt.BlockDriver.Requests;
using VmShunt.BlockDriver.Virtio;

namespace VmShunt.BlockDriver;

/// <summary>
/// Port driver-en of a guest that has nothing but the bus: while its back-end is away, requests wait, and those that were
/// with it are given to the next one. A back-end that is gone touches nothing any more, and what it had finished is in the
/// used ring, so no request is lost and none completes twice. Any thread.
/// </summary>
internal sealed class ReconnectingPortDriver : IBlockDriver, IDisposable
{
    private static readonly TimeSpan s_pause = TimeSpan.FromMilliseconds(50);

    private readonly Func<Action<string>, BusChannel> _open;
    private readonly Action<string> _say;
    private readonly Waiting _waiting;
    private readonly Lock _lock = new();
    private readonly ManualResetEventSlim _disposing = new();
    private BlockRequestList _held;
    private Connection? _connection;
    private Thread? _reconnecting;

    /// <param name="open">Connects to the back-end; is given whom to tell when it is lost.</param>
    /// <param name="say">Told, a line each, when the back-end goes and comes.</param>
    /// <exception cref="IOException">There is no back-end now.</exception>
    internal ReconnectingPortDriver(Func<Action<string>, BusChannel> open, Action<string> say)
    {
        _open = open;
        _say = say;
        _waiting = new Waiting(this);
        _connection = Connect();
    }

    public DiskGeometry Geometry => Channel.Geometry;

    /// <summary>The channel to the back-end, or to the last one while there is none.</summary>
    internal BusChannel Channel => _connection!.Channel;

    /// <summary>How often the back-end came back.</summary>
    internal int Reconnects { get; private set; }

    public void Submit(BlockRequest request)
    {
        request.Trace?.Pass(Hop.PortDriverEn);
        request.Fallback = _waiting;
        _connection!.Channel.Submit(request);
    }

    public void Dispose()
    {
        _disposing.Set();
        Thread? reconnecting;
        lock (_lock) reconnecting = _reconnecting;
        reconnecting?.Join();
        _connection!.Channel.Dispose();
        while (TakeHeld() is { } request) request.Complete(BlockStatus.IoError);
        _disposing.Dispose();
    }

    private Connection Connect()
    {
        var connection = new Connection();
        connection.Channel = _open(why => OnLost(connection, why));
        return connection;
    }

    /// <summary>Comes before the requests of a lost channel are rejected, on one of its threads.</summary>
    private void OnLost(Connection connection, string why)
    {
        lock (_lock)
        {
            connection.IsLost = true;
            if (_connection != connection || _reconnecting is not null || _disposing.IsSet) return;
            _say($"the bus is lost: {why}; requests wait until the back-end is back");
            _reconnecting = new Thread(Reconnect) { IsBackground = true, Name = "reconnect" };
            _reconnecting.Start();
        }
    }

    private void Reconnect()
    {
        // Its threads end, and with them the last requests that it rejects.
        _connection!.Channel.Abandon();
        while (!_disposing.Wait(s_pause))
        {
            if (TryConnect() is not { } next) continue;
            lock (_lock)
            {
                if (next.IsLost)
                {
                    next.Channel.Abandon();
                    continue;
                }
                _connection = next;
                _reconnecting = null;
                Reconnects++;
            }
            _say("the back-end is back");
            while (TakeHeld() is { } request) Submit(request);
            return;
        }
    }

    private Connection? TryConnect()
    {
        try
        {
            return Connect();
        }
        catch (IOException)
        {
            // Not there yet, or gone again in the middle.
            return null;
        }
    }

    private void Hold(BlockRequest request)
    {
        lock (_lock)
        {
            if (_reconnecting is not null)
            {
                _held.Add(request);
                return;
            }
        }
        if (_disposing.IsSet) request.Complete(BlockStatus.IoError);
        else Submit(request);
    }

    private BlockRequest? TakeHeld()
    {
        lock (_lock) return _held.TakeFirst();
    }

    private sealed class Connection
    {
        internal BusChannel Channel { get; set; } = null!;

        internal bool IsLost { get; set; }
    }

    private sealed class Waiting(ReconnectingPortDriver driver) : IBlockDriver
    {
        public DiskGeometry Geometry => driver.Geometry;

        public void Submit(BlockRequest request) => driver.Hold(request);
    }
}
