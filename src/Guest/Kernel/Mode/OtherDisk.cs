using VmShunt.BlockDriver.Virtio;
using VmShunt.Guest.Emulating;
using VmShunt.Guest.Enlightened;
using VmShunt.Ring.Interop;
using VmShunt.Trap.VmExit;

namespace VmShunt.Guest.Mode;

/// <summary>
/// Another disk of this guest as a place where a reverse shunt sends requests: the bus to its VM-H, and its emulating
/// stack's port for what the bus cannot take. Any thread.
/// </summary>
internal sealed class OtherDisk : IDisposable
{
    private readonly EmulatedDisk _emulated;
    private readonly HypervisorBus _bus;
    private readonly Func<UnixConnection, Action<string>, BusChannel> _openChannel;
    private readonly Action _busLost;
    private readonly Lock _changing = new();
    private BusChannel? _channel;
    private bool _isLost;
    private bool _disposed;

    /// <param name="emulated">Its emulating stack.</param>
    /// <param name="bus">Where its bus comes from.</param>
    /// <param name="openChannel">Opens a channel on it; is given whom to tell when it is lost.</param>
    /// <param name="busLost">Told, on a queue's thread, that <see cref="Settle"/> has something to do.</param>
    /// <exception cref="IOException">There is no bus, or it does not open.</exception>
    internal OtherDisk(EmulatedDisk emulated, HypervisorBus bus, Func<UnixConnection, Action<string>, BusChannel> openChannel, Action busLost)
    {
        _emulated = emulated;
        _bus = bus;
        _openChannel = openChannel;
        _busLost = busLost;
        Port = new VirtioBlkPortDriver(emulated.Port);
        Open();
    }

    internal VirtioBlkPortDriver Port { get; }

    /// <summary>Follows the bus: closes a channel that was lost, and opens one when the bus is offered again.</summary>
    /// <returns>False when the bus is offered and did not come up: later it may.</returns>
    internal bool Settle()
    {
        lock (_changing)
        {
            if (_disposed) return true;
            if (_isLost) Close();
            if (_channel is not null || !_bus.IsOffered()) return true;
            try
            {
                Open();
                Say("is there");
                return true;
            }
            catch (IOException e) when (e is not (HypervisorLostException or MachineCheckException))
            {
                return false;
            }
        }
    }

    /// <summary>Requests on it end first.</summary>
    public void Dispose()
    {
        lock (_changing)
        {
            _disposed = true;
            Close();
        }
    }

    private void Open()
    {
        _channel = _openChannel(_bus.Open(), OnLost);
        Port.Attach(_channel);
        if (_isLost) Port.Detach();
    }

    private void Close()
    {
        Port.Detach();
        if (_channel is null) return;
        _channel.Dispose();
        _channel = null;
        _bus.Close();
        // After the channel's threads have ended nobody can say of it that it is lost.
        _isLost = false;
    }

    private void OnLost(string why)
    {
        Interlocked.Exchange(ref _isLost, true);
        Port.Detach();
        Say($"is lost: {why}; its requests take the trap");
        _busLost();
    }

    private void Say(string what) => Console.Error.WriteLine($"vmshunt-guest: the bus of {_emulated.Name} {what}");
}
