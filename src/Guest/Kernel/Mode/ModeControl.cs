using VmShunt.BlockDriver.Requests;
using VmShunt.BlockDriver.Virtio;
using VmShunt.Guest.Emulating;
using VmShunt.Guest.Enlightened;
using VmShunt.Guest.Requests;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Terminal;
using VmShunt.Trap.VmExit;

namespace VmShunt.Guest.Mode;

/// <summary>
/// Controls the mode of a guest with an emulated disk: opens and closes the bus, and makes the shunt follow.
/// <see cref="ModeTable"/> has the transitions. Any thread, one at a time; requests run concurrently.
/// </summary>
/// <param name="emulated">The disk whose requests are shunted.</param>
/// <param name="bus">Opens the bus.</param>
/// <param name="openChannel">Opens a channel on the bus; its callback runs on a queue's thread when the channel is lost.</param>
/// <param name="crash">Stops requests when the machine crashes.</param>
/// <param name="busLost">Called on a queue's thread: <see cref="Settle"/> is to be called.</param>
internal sealed class ModeControl(
    EmulatedDisk emulated, HypervisorBus bus, Func<UnixConnection, Action<string>, BusChannel> openChannel, CrashGate crash, Action busLost)
    : IDisposable
{
    private readonly Lock _changing = new();
    private readonly ShuntInstallation _shunt = new(emulated);
    private readonly EnlightenedStack _stack = new(emulated.Port, crash);

    // The shunt's own port driver in alternate mode, which has no enlightened stack.
    private readonly VirtioBlkPortDriver _own = new(emulated.Port);
    private ShuntKind? _installed;
    private ShuntOptions _options = ShuntOptions.Default;
    private BusChannel? _channel;
    private int _state = (int)ModeState.Emulating;
    private int _mode = (int)GuestMode.Emulating;
    private int _returns;
    private bool _hasFailed;

    /// <summary>The mode that requests see.</summary>
    internal GuestMode Mode
    {
        get => (GuestMode)Ordered.Load(ref _mode);
        private set
        {
            if (Interlocked.Exchange(ref _mode, (int)value) != (int)value) GuestEvents.Log.ModeChanged(value.ToString().ToLowerInvariant());
        }
    }

    internal ModeState State => (ModeState)Ordered.Load(ref _state);

    internal ShuntInstallation Shunt => _shunt;

    /// <summary>The channel to VM-H, or null.</summary>
    internal BusChannel? Channel => Ordered.Load(ref _channel);

    /// <summary>How often the wanted mode was entered because the bus was offered.</summary>
    internal int Returns => Ordered.Load(ref _returns);

    /// <summary>The enlightened stack, or null while that mode is not wanted. It stays while the bus is lost.</summary>
    internal EnlightenedStack? Enlightened => ModeTable.WantsEnlightened(State) ? _stack : null;

    /// <summary>Requests in flight on both stacks.</summary>
    internal int InFlight => (int)(emulated.Disk.Counters.InFlight + _stack.Disk.Counters.InFlight);

    /// <summary>Changes the mode, live: requests in flight stay on their path, later ones take the new path.</summary>
    /// <returns>Requests in flight at the moment of the switch.</returns>
    /// <exception cref="IOException">The bus does not open; the mode is emulating then.</exception>
    internal int Change(GuestMode mode)
    {
        lock (_changing)
        {
            var change = ModeEvent.ChangeToEmulating + (int)mode;
            var isNew = ModeTable.Of(State, change).Next != State || mode != Mode;
            if (isNew && emulated.IsRemoved && mode != GuestMode.Enlightened)
                throw new IOException("the emulating stack was removed, so only the enlightened mode is possible");
            return Apply(change);
        }
    }

    /// <summary>Exchanges the shunt for one of another kind, live; the mode is entered again, so that VM-H can check the policy.</summary>
    /// <exception cref="ShuntMismatchException">VM-H does not agree; the mode is emulating then.</exception>
    internal void Configure(ShuntOptions options)
    {
        lock (_changing)
        {
            _options = options;
            Apply(ModeEvent.Configure);
        }
    }

    /// <summary>Sets the mode to be in whenever that is possible; <see cref="Settle"/> enters it.</summary>
    internal void Want(GuestMode mode)
    {
        lock (_changing) Apply(ModeEvent.WantEmulating + (int)mode);
    }

    /// <summary>Follows the bus: closes a lost channel, and enters the wanted mode when the bus is offered.</summary>
    /// <returns>False when the bus is offered but does not open: a retry may succeed.</returns>
    internal bool Settle()
    {
        lock (_changing)
        {
            if (crash.IsCrashed) return true;
            Apply(ModeEvent.Settle);
            if (!ModeTable.AwaitsOffer(State)) return true;
            try
            {
                if (!bus.IsOffered())
                {
                    Apply(ModeEvent.NoOffer);
                    return true;
                }
                Apply(ModeEvent.Offer);
                _hasFailed = false;
                Ordered.Store(ref _returns, _returns + 1);
                Say($"the bus is available: {Mode.ToString().ToLowerInvariant()} mode");
                return true;
            }
            catch (ShuntMismatchException e)
            {
                // A retry fails as well. Another VM-H may agree: its offer is a new event.
                Say($"{e.Message}; requests take the trap path");
                return true;
            }
            catch (IOException e) when (e is not (HypervisorLostException or MachineCheckException))
            {
                if (!_hasFailed) Say($"{e.Message}; retrying");
                _hasFailed = true;
                return false;
            }
        }
    }

    /// <summary>
    /// Removes the emulating stack, after its requests have completed: the enlightened one serves all requests, and holds
    /// them while the bus is lost.
    /// </summary>
    /// <exception cref="InvalidOperationException">The stack is needed.</exception>
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

    /// <summary>Runs an action on the reverse shunt, while the mode does not change.</summary>
    /// <exception cref="InvalidOperationException">There is no enlightened stack.</exception>
    internal void WithReverseShunt(Action<ReverseShunt> action)
    {
        lock (_changing)
        {
            action(Enlightened?.Shunt ?? throw new InvalidOperationException("there is no enlightened stack, and so no reverse shunt; enter the enlightened mode first"));
        }
    }

    /// <summary>Shuts down: closes the channel, diverts nothing, and takes the shunt out of the register path.</summary>
    public void Dispose()
    {
        lock (_changing)
        {
            Apply(ModeEvent.End);
            _shunt.Dispose();
        }
    }

    // A loss may change the state concurrently, but only while there is a channel. So the state is stored only when there
    // is none: after Leave and before Enter.
    private int Apply(ModeEvent e)
    {
        var state = State;
        var transition = ModeTable.Of(state, e);
        var inFlight = InFlight;
        if (transition.Action.HasFlag(ModeAction.Leave)) Leave();
        var enters = transition.Action.HasFlag(ModeAction.Enter);
        if (enters || transition.Next != state) Ordered.Store(ref _state, (int)transition.Next);
        var mode = transition.Next == ModeState.Alternate ? GuestMode.Alternate : GuestMode.Enlightened;
        try
        {
            if (e == ModeEvent.Configure) Install(mode, RequestTypes.All);
            return enters ? Enter(mode) : inFlight;
        }
        catch when (enters)
        {
            Ordered.Store(ref _state, (int)transition.IfNotEntered);
            throw;
        }
    }

    private void Leave()
    {
        PassDown();
        if (_channel is not { } channel) return;
        // When this returns the channel's threads have exited, and none can report a loss.
        channel.Dispose();
        Ordered.Store(ref _channel, null);
        bus.Close();
    }

    private int Enter(GuestMode mode)
    {
        var channel = Open(mode);
        Install(mode, channel.Implemented);
        var inFlight = InFlight;
        PortIn(mode).Attach(channel);
        _shunt.Enlighten();
        // Takes requests that arrive at the port while it has no driver, and those held since the bus was lost.
        emulated.Port.Detour(_stack.Port);
        Mode = mode;
        // In alternate mode the emulated disk is the only one that applications can find.
        emulated.Visibility.NoteShunted(mode == GuestMode.Enlightened);
        // The channel may have been lost before there was anything to undo.
        if (State is ModeState.EnlightenedLost or ModeState.AlternateLost) PassDown();
        return inFlight;
    }

    /// <summary>Opens the bus and has VM-H agree to the request types that will be sent; cleans up if that fails.</summary>
    private BusChannel Open(GuestMode mode)
    {
        try
        {
            var channel = openChannel(bus.Open(), OnLost);
            Ordered.Store(ref _channel, channel);
            var disagreement = channel.Agree(implemented => new ShuntDeclaration
            {
                Version = ShuntAgreement.CurrentVersion,
                Criterion = _options.CriterionIn(mode),
                Primary = _options.PrimaryIn(mode, implemented),
            });
            return disagreement is null ? channel : throw new ShuntMismatchException(disagreement);
        }
        catch (IOException e) when (e is not (HypervisorLostException or MachineCheckException))
        {
            Leave();
            if (e is ShuntMismatchException) throw;
            throw new IOException($"the bus does not open: {e.Message}", e);
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

    // On a queue's thread, which Leave waits for: takes no lock that is held during it.
    private void OnLost(string why)
    {
        ModeTransition transition;
        int state;
        do
        {
            state = Ordered.Load(ref _state);
            transition = ModeTable.Of((ModeState)state, ModeEvent.BusLost);
        }
        while (Interlocked.CompareExchange(ref _state, (int)transition.Next, state) != state);
        if (transition.Action.HasFlag(ModeAction.PassDown)) PassDown();
        Say($"the bus is lost: {why}; requests take the trap path");
        busLost();
    }

    // Requests take the trap path, or without an emulating stack are held.
    private void PassDown()
    {
        emulated.Port.Detour(null);
        _shunt.Emulate();
        _stack.Port.Detach();
        _own.Detach();
        emulated.Visibility.NoteShunted(false);
        Mode = GuestMode.Emulating;
    }

    private static void Say(string what) => ErrorLine.Write($"vmshunt-guest: {what}");

    private sealed record ShuntKind(ShuntOptions Options, PrimaryCriterion Criterion, RequestTypes Primary, bool IsAlternate);
}
