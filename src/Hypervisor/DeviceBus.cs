using Microsoft.Extensions.Logging;
using VmShunt.Ring.Interop;

namespace VmShunt.Hypervisor;

/// <summary>
/// Whether one device's bus can be offered now, to every partition alike: an operator rescinds it and offers it again,
/// and VM-H offers it by listening on its socket. Guests are told of each change, and ask. Any thread.
/// </summary>
internal sealed class DeviceBus : IDisposable
{
    // While VM-H does not listen, a look costs one refused connect(2).
    private const int LookMilliseconds = 50;

    private readonly DeviceSpec _spec;
    private readonly Action<DeviceBus, bool> _changed;
    private readonly ILogger _log;
    private readonly Lock _lock = new();
    private readonly ManualResetEventSlim _ending = new();
    private bool _isRescinded;
    private Thread? _looking;
    private int? _servedBy;
    private int? _refused;

    /// <param name="spec">The device.</param>
    /// <param name="changed">Told after each change, on any thread, and whether the offer came (true) or went.</param>
    /// <param name="log">For what people should know.</param>
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
            lock (_lock) return _spec.BusSocket is not null && !_isRescinded && _looking is null;
        }
    }

    /// <summary>
    /// Connects a channel. A device stays with its VM-H: whoever else listens on the socket by now may have another disk,
    /// and no guest is connected to that.
    /// </summary>
    /// <param name="patience">How long VM-H may take; zero is for ever.</param>
    /// <exception cref="IOException">VM-H does not listen, or another process does.</exception>
    internal UnixConnection Connect(TimeSpan patience = default)
    {
        var connection = UnixConnection.Connect(_spec.BusSocket!, patience);
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
            throw new IOException($"process {peer} listens on {_spec.BusSocket}, where VM-H was process {servedBy}");
        }
        catch
        {
            connection.Dispose();
            throw;
        }
    }

    /// <summary>Takes the offer back.</summary>
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

    /// <summary>Offers it again.</summary>
    internal void Offer()
    {
        lock (_lock)
        {
            if (!_isRescinded) return;
            _isRescinded = false;
        }
        _log.BusOffered(_spec.Name, "the operator says so");
        _changed(this, true);
    }

    /// <summary>VM-H does not take connections: it has withdrawn its bus. It is looked after until it does again.</summary>
    internal void NoteAbsence()
    {
        lock (_lock)
        {
            if (_looking is not null || _ending.IsSet) return;
            _looking = new Thread(Look) { IsBackground = true, Name = $"bus {_spec.Name}" };
            _looking.Start();
        }
    }

    public void Dispose()
    {
        _ending.Set();
        Thread? looking;
        lock (_lock) looking = _looking;
        looking?.Join();
        _ending.Dispose();
    }

    private void Look()
    {
        while (!_ending.Wait(LookMilliseconds))
        {
            if (!IsServed()) continue;
            lock (_lock) _looking = null;
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
