using Microsoft.Extensions.Logging;
using VmShunt.Ring.Interop;

namespace VmShunt.Hypervisor;

/// <summary>
/// Whether one device's bus is offered, to all partitions alike. The operator rescinds the offer and renews it; VM-H
/// withdraws its bus by closing its listening socket. Guests are notified of each change and query the state. Any thread.
/// </summary>
internal sealed class DeviceBus : IDisposable
{
    // While VM-H does not listen, each probe costs one refused connect(2).
    private const int ProbeMilliseconds = 50;

    private readonly DeviceSpec _spec;
    private readonly Action<DeviceBus, bool> _changed;
    private readonly ILogger _log;
    private readonly Lock _lock = new();
    private readonly ManualResetEventSlim _disposing = new();
    private bool _isRescinded;
    private Thread? _probing;
    private int? _servedBy;
    private int? _refused;

    /// <param name="spec">The device.</param>
    /// <param name="changed">Called after each change, on any thread, with whether the bus is offered now.</param>
    /// <param name="log">The log.</param>
    internal DeviceBus(DeviceSpec spec, Action<DeviceBus, bool> changed, ILogger log)
    {
        _spec = spec;
        _changed = changed;
        _log = log;
    }

    /// <summary>Whether a guest that asks for a channel gets one.</summary>
    internal bool IsOffered
    {
        get
        {
            lock (_lock) return _spec.BusSocket is not null && !_isRescinded && _probing is null;
        }
    }

    /// <summary>
    /// Connects a channel, to the VM-H process that served the bus first only: another process on the same socket may have
    /// another disk.
    /// </summary>
    /// <param name="responseTimeout">How long VM-H may take; zero: no limit.</param>
    /// <exception cref="IOException">VM-H does not listen, or another process does.</exception>
    internal UnixConnection Connect(TimeSpan responseTimeout = default)
    {
        var connection = UnixConnection.Connect(_spec.BusSocket!, responseTimeout);
        try
        {
            var peer = connection.PeerProcessId;
            int servedBy;
            bool isNew;
            lock (_lock)
            {
                servedBy = _servedBy ??= peer;
                isNew = peer != servedBy && peer != _refused;
                _refused = peer == servedBy ? null : peer;
            }
            if (peer == servedBy) return connection;
            if (isNew) _log.BusRefused(_spec.Name, peer, _spec.BusSocket!, servedBy);
            throw new IOException($"process {peer} listens on {_spec.BusSocket}, but VM-H is process {servedBy}");
        }
        catch
        {
            connection.Dispose();
            throw;
        }
    }

    /// <summary>Rescinds the offer, on the operator's request.</summary>
    internal void Rescind()
    {
        lock (_lock)
        {
            if (_spec.BusSocket is null || _isRescinded) return;
            _isRescinded = true;
        }
        _log.BusRescinded(_spec.Name);
        _changed(this, false);
    }

    /// <summary>Renews a rescinded offer, on the operator's request.</summary>
    internal void Offer()
    {
        lock (_lock)
        {
            if (!_isRescinded) return;
            _isRescinded = false;
        }
        _log.BusOffered(_spec.Name, "SIGUSR2 was received");
        _changed(this, true);
    }

    /// <summary>VM-H refused a connection: it has withdrawn its bus. Probes its socket until it listens again.</summary>
    internal void StartProbing()
    {
        lock (_lock)
        {
            if (_probing is not null || _disposing.IsSet) return;
            var probing = new Thread(Probe) { IsBackground = true, Name = $"bus {_spec.Name}" };
            try
            {
                SystemThread.Start(probing);
                _probing = probing;
            }
            catch (IOException e)
            {
                _log.BusNotProbed(_spec.Name, e.Message);
            }
        }
    }

    public void Dispose()
    {
        _disposing.Set();
        Thread? probing;
        lock (_lock) probing = _probing;
        probing?.Join();
        _disposing.Dispose();
    }

    private void Probe()
    {
        while (!_disposing.Wait(ProbeMilliseconds))
        {
            if (!IsServed()) continue;
            lock (_lock) _probing = null;
            _log.BusOffered(_spec.Name, "VM-H listens again");
            _changed(this, true);
            return;
        }
    }

    private bool IsServed()
    {
        try
        {
            Connect().Dispose();
            return true;
        }
        catch (IOException)
        {
            return false;
        }
    }
}
