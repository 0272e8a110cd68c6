using VmShunt.BlockDriver.Virtio;
using VmShunt.Guest.Emulating;
using VmShunt.Guest.Enlightened;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;
using VmShunt.Terminal;
using VmShunt.Trap.VmExit;

namespace VmShunt.Guest.Mode;

/// <summary>
/// Another disk of this guest as the target of a reverse shunt: the bus to its VM-H, and the port of its emulating stack
/// for requests that the bus cannot take. Any thread.
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
    /// <param name="bus">Its bus.</param>
    /// <param name="openChannel">Opens a channel on the bus; its callback runs on a queue's thread when the channel is lost.</param>
    /// <param name="busLost">Called on a queue's thread: <see cref="Settle"/> is to be called.</param>
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

    /// <summary>Follows the bus: closes a lost channel, and opens one when the bus is offered again.</summary>
    /// <returns>False when the bus is offered but does not open: a retry may succeed.</returns>
    internal bool Settle()
    {
        lock (_changing)
        {
            if (_disposed) return true;
            if (Ordered.Load(ref _isLost)) Close();
            if (_channel is not null || !_bus.IsOffered()) return true;
            try
            {
                Open();
                Say("is available");
                return true;
            }
            catch (IOException e) when (e is not (HypervisorLostException or MachineCheckException))
            {
                return false;
            }
        }
    }

    /// <summary>Waits for its requests in flight.</summary>
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
        if (Ordered.Load(ref _isLost)) Port.Detach();
    }

    private void Close()
    {
        Port.Detach();
        if (_channel is null) return;
        _channel.Dispose();
        _channel = null;
        _bus.Close();
        // The channel's threads have exited, so none can report a loss any more.
        Ordered.Store(ref _isLost, false);
    }

    private void OnLost(string why)
    {
        Ordered.Store(ref _isLost, true);
        Port.Detach();
        Say($"is lost: {why}; its requests take the trap path");
        _busLost();
    }

    private void Say(string what) => ErrorLine.Write($"vmshunt-guest: the bus of {_emulated.Name} {what}");
}
