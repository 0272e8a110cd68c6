using VmShunt.BlockDriver.Requests;
using VmShunt.BlockDriver.Virtio;
using VmShunt.Guest.Emulating;
using VmShunt.Guest.Enlightened;
using VmShunt.Ring.Interop;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Trap.VmExit;

namespace VmShunt.Guest.Mode;

/// <summary>
/// The mode of a guest with an emulated disk: brings the bus and the enlightened stack up and down, and has the shunt
/// follow. The mode that is wanted is entered again by itself when the bus was lost and is offered again. Any thread, one
/// at a time; requests run on any, meanwhile.
/// </summary>
/// <param name="emulated">The disk whose requests are shunted.</param>
/// <param name="bus">Where the bus comes from.</param>
/// <param name="openChannel">Opens a channel on it; is given whom to tell, on a queue's thread, when it is lost.</param>
/// <param name="crash">Stops requests when the machine crashes.</param>
/// <param name="busLost">Told, on a queue's thread, that <see cref="Settle"/> has something to do.</param>
internal sealed class ModeControl(
    EmulatedDisk emulated, HypervisorBus bus, Func<UnixConnection, Action<string>, BusChannel> openChannel, CrashGate crash, Action busLost)
{
    private readonly Lock _changing = new();
    private readonly ShuntInstallation _shunt = new(emulated);
    private readonly EnlightenedStack _stack = new(emulated.Port, crash);

    // Without an enlightened stack the shunt speaks to VM-H by an end of the bus of its own.
    private readonly VirtioBlkPortDriver _own = new(emulated.Port);
    private ShuntKind? _installed;
    private GuestMode _wanted;
    private ShuntOptions _options = ShuntOptions.Default;
    private bool _isLost;
    private bool _hasFailed;

    internal GuestMode Mode
    {
        get;
        private set
        {
            if (field == value) return;
            field = value;
            GuestEvents.Log.ModeChanged(value.ToString().ToLowerInvariant());
        }
    }

    /// <summary>The shunt as it is.</summary>
    internal ShuntInstallation Shunt => _shunt;

    /// <summary>The channel to VM-H, whoever uses it, or null.</summary>
    internal BusChannel? Channel { get; private set; }

    /// <summary>How often the bus was lost and the mode entered again.</summary>
    internal int Returns { get; private set; }

    /// <summary>The enlightened stack, or null while there is none. It stays while its bus is away.</summary>
    internal EnlightenedStack? Enlightened => _wanted == GuestMode.Enlightened ? _stack : null;

    /// <summary>Requests in flight on either stack.</summary>
    internal int InFlight => (int)(emulated.Disk.Counters.InFlight + _stack.Disk.Counters.InFlight);

    /// <summary>Changes the mode, live: requests in flight end where they are, later ones take the new way.</summary>
    /// <returns>Requests in flight at the moment of the switch.</returns>
    /// <exception cref="IOException">The bus is not there; the mode is emulating then.</exception>
    internal int Change(GuestMode mode)
    {
        lock (_changing)
        {
            if (mode == Mode && mode == _wanted && !_isLost) return InFlight;
            if (emulated.IsRemoved && mode != GuestMode.Enlightened)
                throw new IOException("the emulating stack was removed, so only the enlightened mode is possible");
            var inFlight = InFlight;
            Leave();
            if (mode != GuestMode.Emulating) inFlight = Enter(mode);
            _wanted = mode;
            return inFlight;
        }
    }

    /// <summary>Exchanges the shunt for one of another kind, live; the mode is left and entered again, so that VM-H can check the policy.</summary>
    /// <exception cref="ShuntMismatchException">VM-H does not agree; the mode is emulating then.</exception>
    internal void Configure(ShuntOptions options)
    {
        lock (_changing)
        {
            var mode = Mode;
            Leave();
            _options = options;
            Install(mode == GuestMode.Emulating ? GuestMode.Enlightened : mode, RequestTypes.All);
            if (mode != GuestMode.Emulating) Enter(mode);
        }
    }

    /// <summary>The mode to be in whenever that is possible; <see cref="Settle"/> enters it.</summary>
    internal void Want(GuestMode mode)
    {
        lock (_changing) _wanted = mode;
    }

    /// <summary>Follows the bus: leaves a channel that was lost, and enters the wanted mode when the bus is offered.</summary>
    /// <returns>False when the bus is offered and did not come up: later it may.</returns>
    internal bool Settle()
    {
        lock (_changing)
        {
            if (crash.IsCrashed) return true;
            if (_isLost) Leave();
            if (Mode == _wanted || !bus.IsOffered()) return true;
            try
            {
                Enter(_wanted);
                _hasFailed = false;
                Returns++;
                Say($"the bus is there: {Mode.ToString().ToLowerInvariant()} mode");
                return true;
            }
            catch (ShuntMismatchException e)
            {
                // Trying again changes nothing; another VM-H may, and then there is news.
                Say($"{e.Message}; requests take the trap");
                return true;
            }
            catch (IOException e) when (e is not (HypervisorLostException or MachineCheckException))
            {
                if (!_hasFailed) Say($"{e.Message}; it is tried again");
                _hasFailed = true;
                return false;
            }
        }
    }

    /// <summary>
    /// Takes the emulating stack away: the enlightened one does everything from now on, and while its bus is away requests
    /// wait. Requests inside end first.
    /// </summary>
    /// <exception cref="InvalidOperationException">It is needed.</exception>
    internal void RemoveEmulating()
    {
        lock (_changing)
        {
            if (emulated.IsRemoved) throw new InvalidOperationException("the emulating stack was removed before");
            if (Mode != GuestMode.Enlightened) throw new InvalidOperationException($"in {Mode.ToString().ToLowerInvariant()} mode the emulating stack is needed; enter the enlightened mode first");
            if (_stack is { Shunt.IsInert: false }) throw new InvalidOperationException("the reverse shunt diverts, perhaps to the emulating stack; make it inert first");
            emulated.Remove();
        }
    }

    /// <summary>Has the reverse shunt do something, when no mode change is under way.</summary>
    /// <exception cref="InvalidOperationException">There is no enlightened stack.</exception>
    internal void WithReverseShunt(Action<ReverseShunt> action)
    {
        lock (_changing)
        {
            action(Enlightened?.Shunt ?? throw new InvalidOperationException("there is no enlightened stack, and so no reverse shunt; enter the enlightened mode first"));
        }
    }

    /// <summary>The end: nothing is diverted, and no channel is open.</summary>
    internal void End()
    {
        lock (_changing) Leave();
    }

    /// <summary>Emulating mode: everything passes down again, so that whatever the shunt diverted to can end; then it ends.</summary>
    private void Leave()
    {
        emulated.Port.Detour(null);
        _shunt.Emulate();
        emulated.Visibility.NoteShunted(false);
        Mode = GuestMode.Emulating;
        _stack.Port.Detach();
        _own.Detach();
        if (Channel is { } channel)
        {
            channel.Dispose();
            Channel = null;
            bus.Close();
        }
        // After the channel's threads have ended nobody can say of it that it is lost.
        _isLost = false;
    }

    private int Enter(GuestMode mode)
    {
        var channel = Open(mode);
        Install(mode, channel.Implemented);
        var inFlight = InFlight;
        PortIn(mode).Attach(channel);
        _shunt.Enlighten();
        // What comes to the port while nobody drives it, and what came while there was no bus either.
        emulated.Port.Detour(_stack.Port);
        if (_isLost) emulated.Port.Detour(null);
        Mode = mode;
        // Without an enlightened stack the emulated disk is the only one that applications can find.
        emulated.Visibility.NoteShunted(mode == GuestMode.Enlightened);
        if (_isLost) emulated.Visibility.NoteShunted(false);
        return inFlight;
    }

    /// <summary>Opens the bus, and has VM-H agree to what will be sent over it; or leaves nothing behind.</summary>
    private BusChannel Open(GuestMode mode)
    {
        try
        {
            Channel = openChannel(bus.Open(), OnLost);
            var disagreement = Channel.Agree(implemented => new ShuntDeclaration
            {
                Version = ShuntAgreement.CurrentVersion,
                Criterion = _options.CriterionIn(mode),
                Primary = _options.PrimaryIn(mode, implemented),
            });
            return disagreement is null ? Channel : throw new ShuntMismatchException(disagreement);
        }
        catch (IOException e) when (e is not (HypervisorLostException or MachineCheckException))
        {
            Leave();
            if (e is ShuntMismatchException) throw;
            throw new IOException($"the bus does not come up: {e.Message}", e);
        }
    }

    private VirtioBlkPortDriver PortIn(GuestMode mode) => mode == GuestMode.Alternate ? _own : _stack.Port;

    private void Install(GuestMode mode, RequestTypes implemented)
    {
        var kind = new ShuntKind(_options, _options.CriterionIn(mode), _options.PrimaryIn(mode, implemented), mode == GuestMode.Alternate);
        if (kind == _installed) return;
        _installed = kind;
        _shunt.Install(_options, kind.Criterion, kind.Primary, PortIn(mode), kind.IsAlternate ? _own : _stack.Top);
    }

    private void OnLost(string why)
    {
        _stack.Port.Detach();
        _own.Detach();
        Interlocked.Exchange(ref _isLost, true);
        emulated.Port.Detour(null);
        _shunt.Emulate();
        emulated.Visibility.NoteShunted(false);
        Mode = GuestMode.Emulating;
        Say($"the bus is lost: {why}; requests take the trap");
        busLost();
    }

    private static void Say(string what) => Console.Error.WriteLine($"vmshunt-guest: {what}");

    private sealed record ShuntKind(ShuntOptions Options, PrimaryCriterion Criterion, RequestTypes Primary, bool IsAlternate);
}
