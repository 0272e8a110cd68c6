using VmShunt.BlockDriver.Requests;
using VmShunt.Ring.Memory;

namespace VmShunt.BlockDriver.Virtio;

/// <summary>
/// Drives a disk whose back-end may exit and come again. While the back-end is lost, requests are held; the held ones and those
/// that were in flight are submitted to the next back-end. A lost back-end no longer touches the ring, and what it completed
/// is in the used ring, so no request is lost or completes twice. Any thread.
/// </summary>
public sealed class ReconnectingPortDriver : IBlockDriver, IDisposable
{
    private static readonly TimeSpan s_retryInterval = TimeSpan.FromMilliseconds(50);

    private readonly Func<Action<string>, BusChannel> _open;
    private readonly Action<string> _log;
    private readonly bool _failsWhileLost;
    private readonly HoldingDriver _hold;
    private readonly Lock _lock = new();
    private readonly ManualResetEventSlim _disposing = new();
    private BlockRequestList _held;
    private Connection? _connection;
    private int _reconnects;
    private Thread? _reconnecting;

    /// <summary>Connects.</summary>
    /// <param name="open">Connects to the back-end; its argument is the callback for the channel's loss. Called again on a thread of the driver until it throws no <see cref="IOException"/>.</param>
    /// <param name="log">Receives a line when the back-end is lost, and when it is connected again; must not block or throw.</param>
    /// <param name="failsWhileLost">Whether requests fail as disconnected, instead of being held, while the back-end is lost.</param>
    /// <exception cref="IOException">No back-end is available.</exception>
    public ReconnectingPortDriver(Func<Action<string>, BusChannel> open, Action<string> log, bool failsWhileLost = false)
    {
        _failsWhileLost = failsWhileLost;
        _open = open;
        _log = log;
        _hold = new HoldingDriver(this);
        var first = Connect();
        lock (_lock)
        {
            _connection = first;
            if (first.LossReason is { } why) StartReconnecting(why);
        }
    }

    /// <inheritdoc />
    public DiskGeometry Geometry => Channel.Geometry;

    /// <summary>The channel to the back-end; while it is lost, the last channel.</summary>
    public BusChannel Channel => Current.Channel;

    // Acquire: a submitter sees a new connection's channel complete.
    private Connection Current => Ordered.Load(ref _connection)!;

    /// <summary>The number of reconnects.</summary>
    public int Reconnects => Ordered.Load(ref _reconnects);

    /// <inheritdoc />
    public void Submit(BlockRequest request)
    {
        request.Observer?.Pass(DriverHop.Received);
        request.Fallback = _hold;
        Current.Channel.Submit(request);
    }

    /// <summary>Waits for the requests in flight and disconnects. Those that are held fail as disconnected.</summary>
    public void Dispose() => Dispose(abandonsInFlight: false);

    /// <summary>Disposes the driver. Requests that are held fail as disconnected.</summary>
    /// <param name="abandonsInFlight">Whether those in flight do so, too, instead of being waited for.</param>
    public void Dispose(bool abandonsInFlight)
    {
        _disposing.Set();
        Thread? reconnecting;
        lock (_lock) reconnecting = _reconnecting;
        reconnecting?.Join();
        if (abandonsInFlight) Current.Channel.Abandon();
        else Current.Channel.Dispose();
        while (TakeHeld() is { } request) request.Complete(BlockStatus.Disconnected);
        _disposing.Dispose();
    }

    private Connection Connect()
    {
        var connection = new Connection();
        connection.Channel = _open(why => OnLost(connection, why));
        return connection;
    }

    /// <summary>Called on one of the channel's threads, before the channel's requests are rejected.</summary>
    private void OnLost(Connection connection, string why)
    {
        lock (_lock)
        {
            connection.LossReason = why;
            if (_connection == connection) StartReconnecting(why);
        }
    }

    // Under the lock.
    private void StartReconnecting(string why)
    {
        if (_reconnecting is not null || _disposing.IsSet) return;
        _log($"the bus is lost: {why}; requests {(_failsWhileLost ? "fail" : "are held")} until the back-end reconnects");
        _reconnecting = new Thread(Reconnect) { IsBackground = true, Name = "reconnect" };
        _reconnecting.Start();
    }

    private void Reconnect()
    {
        // Its threads exit, after they have rejected their last requests.
        Current.Channel.Abandon();
        while (!_disposing.Wait(s_retryInterval))
        {
            if (TryConnect() is not { } next) continue;
            if (!TryUse(next))
            {
                // Outside the lock, which the channel's threads need on their way out.
                next.Channel.Abandon();
                continue;
            }
            _log("the back-end is connected again");
            while (TakeHeld() is { } request) Submit(request);
            return;
        }
    }

    /// <returns>False: the connection was lost during set-up.</returns>
    private bool TryUse(Connection next)
    {
        lock (_lock)
        {
            if (next.LossReason is not null) return false;
            Ordered.Store(ref _connection, next);
            _reconnecting = null;
            _reconnects++;
            return true;
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
            // No back-end listens yet, or it exited during set-up.
            return null;
        }
    }

    private void Hold(BlockRequest request)
    {
        if (_failsWhileLost)
        {
            request.Complete(BlockStatus.Disconnected);
            return;
        }
        lock (_lock)
        {
            if (_reconnecting is not null)
            {
                _held.Add(request);
                return;
            }
        }
        if (_disposing.IsSet) request.Complete(BlockStatus.Disconnected);
        else Submit(request);
    }

    private BlockRequest? TakeHeld()
    {
        lock (_lock) return _held.TakeFirst();
    }

    private sealed class Connection
    {
        internal BusChannel Channel { get; set; } = null!;

        /// <summary>Null while the channel is open. Under the driver's lock.</summary>
        internal string? LossReason { get; set; }
    }

    private sealed class HoldingDriver(ReconnectingPortDriver driver) : IBlockDriver
    {
        public DiskGeometry Geometry => driver.Geometry;

        public void Submit(BlockRequest request) => driver.Hold(request);
    }
}
