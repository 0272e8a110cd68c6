using System.Diagnostics;
using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;

namespace VmShunt.Hypervisor;

/// <summary>
/// The hypervisor's main thread: accepts connections and supervises VM-H. It exits on a signal, when VM-H disconnects, or
/// when no guest has been connected for the linger time.
/// </summary>
internal sealed class HypervisorProcess : IDisposable
{
    private const int MaxConnections = 1024;
    private const int MinFirstGuestSeconds = 30;

    private readonly HypervisorOptions _options;
    private readonly ILogger _log;
    private readonly EventFd _partitionsChanged = EventFd.Create();
    private readonly EventFd _stop = EventFd.Create();
    private readonly List<DeviceSupervisor> _devices = [];
    private readonly PartitionTable _partitions;
    private readonly ConnectionThread _connections;
    private readonly DeviceBus[] _buses;
    private readonly PosixSignalRegistration[] _signals;
    private UnixListener? _listener;
    private int _connectionCount;
    private string _stopReason = "";

    internal HypervisorProcess(HypervisorOptions options, ILogger log)
    {
        _options = options;
        _log = log;
        _buses = [.. options.Devices.Select(spec => new DeviceBus(spec, NotifyGuests, log))];
        _partitions = new PartitionTable(options.Devices, _buses, options.Trap, _partitionsChanged.Signal, log);
        _connections = new ConnectionThread(_partitions, options.ResponseTimeout, log);
        // Those that end the process are left to the system until there is something to end in order.
        _signals =
        [
            PosixSignalRegistration.Create(UserSignal.Rescind, signal => ForEachBus(signal, bus => bus.Rescind())),
            PosixSignalRegistration.Create(UserSignal.Offer, signal => ForEachBus(signal, bus => bus.Offer())),
        ];
    }

    /// <summary>Connects to VM-H for every device and listens for guests.</summary>
    /// <exception cref="IOException">VM-H cannot be reached, or the socket cannot be listened on.</exception>
    internal void Start()
    {
        foreach (var device in _options.Devices) _devices.Add(DeviceSupervisor.Start(device, _options.Trap, _options.Wait));
        _listener = UnixListener.Bind(_options.Socket);
        _log.Listening(_options.Socket, _devices.Count);
    }

    /// <summary>Serves until there is a reason to exit.</summary>
    /// <returns>The process's exit code.</returns>
    internal int Run()
    {
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
        using var events = new WaitSet([_listener!.Handle, _stop.Handle, _partitionsChanged.Handle, .. _devices.Select(d => d.Handle)]);
        var idleSince = Stopwatch.GetTimestamp();
        while (true)
        {
            var idle = _partitions.Count == 0;
            var ready = events.Wait(idle ? MillisecondsLeft(idleSince) : -1);
            if (events.IsReady(1)) return Exit(Ordered.Load(ref _stopReason), 0);
            for (var i = 0; i < _devices.Count; i++)
            {
                if (!events.IsReady(3 + i)) continue;
                _log.HostPartitionGone(_devices[i].Spec.Name);
                return Exit($"VM-H of device {_devices[i].Spec.Name} disconnected", 1);
            }
            if (events.IsReady(0)) Accept();
            if (events.IsReady(2) && _partitionsChanged.TryDrain()) idleSince = Stopwatch.GetTimestamp();
            if (!ready && idle && MillisecondsLeft(idleSince) == 0) return Exit(IdleReason, 0);
        }
    }

    public void Dispose()
    {
        _listener?.Dispose();
        foreach (var device in _devices) device.Dispose();
        foreach (var signal in _signals) signal.Dispose();
        foreach (var bus in _buses) bus.Dispose();
    }

    private string IdleReason => _partitions.HadAny
        ? $"no guest has been connected for {_options.Linger} s (--linger)"
        : $"no guest connected within {Math.Max(_options.Linger ?? 0, MinFirstGuestSeconds)} s (--linger)";

    private int MillisecondsLeft(long since)
    {
        if (_options.Linger is not { } linger) return -1;
        var allowed = _partitions.HadAny ? linger : Math.Max(linger, MinFirstGuestSeconds);
        return (int)Math.Clamp(Math.Ceiling(allowed * 1000 - Stopwatch.GetElapsedTime(since).TotalMilliseconds), 0, int.MaxValue);
    }

    private void Accept()
    {
        try
        {
            var connection = _listener!.Accept();
            if (Interlocked.Increment(ref _connectionCount) <= MaxConnections)
            {
                _connections.Start(connection, () => Interlocked.Decrement(ref _connectionCount));
                return;
            }
            Interlocked.Decrement(ref _connectionCount);
            connection.Dispose();
            _log.Refused($"the limit of {MaxConnections} connections is reached");
        }
        catch (IOException e)
        {
            // Most likely out of descriptors. The listener stays ready, so back off until some are closed.
            _log.AcceptFailed(e.Message);
            Thread.Sleep(100);
        }
    }

    private void NotifyGuests(DeviceBus bus, bool isOffered) => _partitions.NotifyBusChange(Array.IndexOf(_buses, bus), isOffered);

    private void ForEachBus(PosixSignalContext signal, Action<DeviceBus> action)
    {
        signal.Cancel = true;
        foreach (var bus in _buses) action(bus);
    }

    private void Stop(PosixSignalContext signal)
    {
        signal.Cancel = true;
        // Stored before the eventfd is signalled: the main thread loads it after the wake-up.
        Ordered.Store(ref _stopReason, $"{signal.Signal} was received");
        _stop.Signal();
    }

    private int Exit(string why, int exitCode)
    {
        _log.Ends(why);
        _partitions.StopAll(why);
        using var events = new WaitSet(_partitionsChanged.Handle);
        var start = Stopwatch.GetTimestamp();
        while (_partitions.Count > 0)
        {
            var left = (int)(2 * _options.ResponseTimeout - Stopwatch.GetElapsedTime(start)).TotalMilliseconds;
            if (left <= 0) break;
            if (events.Wait(left)) _partitionsChanged.TryDrain();
        }
        return exitCode;
    }
}
