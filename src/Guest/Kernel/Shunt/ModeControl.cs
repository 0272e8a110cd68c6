using VmShunt.Guest.Bus;
using VmShunt.Guest.Crash;
using VmShunt.Guest.Enlightened;
using VmShunt.Ring.Interop;

namespace VmShunt.Guest.Shunt;

/// <summary>
/// The mode of a guest with an emulated disk: brings the bus and the enlightened stack up and down, and has the shunt
/// follow. Modes are changed from one thread; requests run on any, meanwhile.
/// </summary>
/// <param name="emulated">The disk whose requests are shunted.</param>
/// <param name="bus">Where the bus comes from.</param>
/// <param name="openChannel">Opens a channel on it; is given whom to tell, on a queue's thread, when it is lost.</param>
/// <param name="crash">Stops requests when the machine crashes.</param>
internal sealed class ModeControl(
    EmulatedDisk emulated, HypervisorBus bus, Func<UnixConnection, Action<string>, BusChannel> openChannel, CrashStop crash)
{
    internal GuestMode Mode { get; private set; }

    /// <summary>The channel to VM-H, whoever uses it, or null.</summary>
    internal BusChannel? Channel { get; private set; }

    /// <summary>The enlightened stack, or null while there is none.</summary>
    internal EnlightenedStack? Enlightened { get; private set; }

    /// <summary>Requests in flight on either stack.</summary>
    internal int InFlight => (int)(emulated.Disk.Counters.InFlight + (Enlightened?.Disk.Counters.InFlight ?? 0));

    /// <summary>Changes the mode, live: requests in flight end where they are, later ones take the new way.</summary>
    /// <returns>Requests in flight at the moment of the switch.</returns>
    /// <exception cref="IOException">The bus is not there; the mode is emulating then.</exception>
    internal int Change(GuestMode mode)
    {
        if (mode == Mode && Channel is null == (mode == GuestMode.Emulating)) return InFlight;

        // First everything passes down again, so that whatever the shunt diverted to can end.
        var shunt = emulated.Shunt;
        var inFlight = InFlight;
        shunt.PassDown();
        Mode = GuestMode.Emulating;
        TearDown();
        switch (mode)
        {
            case GuestMode.Enlightened:
                Channel = openChannel(bus.Open(), OnLost);
                Enlightened = new EnlightenedStack(Channel, crash);
                inFlight = InFlight;
                shunt.Divert(Enlightened.Port.Submit, PrimaryRequests.All);
                break;
            case GuestMode.Alternate:
                Channel = openChannel(bus.Open(), OnLost);
                inFlight = InFlight;
                shunt.Divert(Channel.Submit, PrimaryRequests.Data);
                break;
        }
        Mode = mode;
        return inFlight;
    }

    /// <summary>Ends the enlightened stack, if there is one, and the channel: requests on it are ended first.</summary>
    private void TearDown()
    {
        Enlightened = null;
        if (Channel is not { } channel) return;
        channel.Dispose();
        Channel = null;
        bus.Close();
    }

    private void OnLost(string why)
    {
        emulated.Shunt.PassDown();
        Mode = GuestMode.Emulating;
        Console.Error.WriteLine($"vmshunt-guest: the bus is lost: {why}; requests take the trap");
    }
}
