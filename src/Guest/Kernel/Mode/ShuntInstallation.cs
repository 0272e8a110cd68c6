using VmShunt.BlockDriver.Requests;
using VmShunt.Guest.Emulating;
using VmShunt.Guest.Enlightened;
using VmShunt.Guest.Shunt;
using VmShunt.Guest.Shunt.Modes;
using VmShunt.Guest.Shunt.Policies;
using VmShunt.Ring.VirtioBlk;

namespace VmShunt.Guest.Mode;

/// <summary>
/// The shunt of one disk: made as the options say, and put where they say. Exchanging it is one store in the stack: requests that have passed it are where they are.
/// <see cref="Enlighten"/> and <see cref="Emulate"/> matter only to a shunt that is told the mode, or whose presence is the mode; the others find out for themselves.
/// </summary>
/// <param name="emulated">The stack that it is put into.</param>
internal sealed class ShuntInstallation(EmulatedDisk emulated)
{
    private readonly ShuntSwitch _told = new();
    private IBlockDriver? _shunt;
    private FrequencyMeter? _frequency;
    private RequestTypes _primary;
    private VirtioBlkPortDriver? _commander;

    internal ShuntOptions Options { get; private set; } = ShuntOptions.Default;

    internal ShuntCounters Counters { get; } = new();

    /// <summary>Why requests are primary.</summary>
    internal PrimaryCriterion Criterion { get; private set; }

    /// <summary>The classes that are primary, or of which some requests may be; by frequency those that are so now.</summary>
    internal RequestTypes PrimaryNow => _frequency is { } meter ? meter.Frequent : _primary;

    /// <summary>Which shunt it is, for traces.</summary>
    private string Description => $"{ShuntNames.Of(Options.Position)}, {ShuntNames.Of(Options.Source)}, policy {ShuntNames.Of(Criterion)}";

    /// <summary>Makes a shunt and puts it in the place of the one that is there; one that arrives with the enlightened side is only made.</summary>
    /// <param name="options">What kind.</param>
    /// <param name="criterion">Why requests are primary.</param>
    /// <param name="primary">Those that may be.</param>
    /// <param name="port">Port driver-en, or the shunt's own end of the bus.</param>
    /// <param name="top">Where requests enter the enlightened side above the class driver.</param>
    internal void Install(ShuntOptions options, PrimaryCriterion criterion, RequestTypes primary, VirtioBlkPortDriver port, IEnlightenedEntry top)
    {
        if (_commander is not null) _commander.Commanded = null;
        _commander = null;
        if (Options.Position != options.Position) Remove();
        Options = options;
        Criterion = criterion;
        _primary = primary;
        _frequency = criterion == PrimaryCriterion.Frequency ? new FrequencyMeter(primary) : null;
        var entry = options.Position == ShuntPosition.AboveClass ? top : port;
        switch (options.Source)
        {
            case ModeSource.Arrives:
                Remove();
                Make(new PresenceMode());
                return;
            case ModeSource.Looks:
                Make(new LookingMode());
                break;
            case ModeSource.Tries:
                Make(new TryingMode());
                break;
            case ModeSource.Commanded:
                var commands = new ShuntSwitch();
                Make(new CommandedMode(commands));
                _commander = port;
                port.Commanded = commands;
                break;
            default:
                Make(new ToldMode(_told));
                break;
        }
        Insert();

        void Make<TMode>(TMode mode) where TMode : struct, IModeSource
        {
            _shunt = criterion switch
            {
                PrimaryCriterion.Importance => With(mode, new ImportantRequests(primary), entry),
                PrimaryCriterion.Frequency => With(mode, new FrequentRequests(_frequency!), entry),
                PrimaryCriterion.Effort => With(mode, new EffortfulRequests(emulated.Port.Costs, primary), entry),
                _ => With(mode, new AllRequests(), entry),
            };
        }
    }

    /// <summary>The enlightened side is there.</summary>
    internal void Enlighten()
    {
        if (Options.Source == ModeSource.Arrives) Insert();
        else if (Options.Source == ModeSource.Told) _told.Divert();
    }

    /// <summary>The enlightened side goes, or is lost. Any thread.</summary>
    internal void Emulate()
    {
        if (Options.Source == ModeSource.Arrives) Remove();
        _told.PassDown();
    }

    private ShuntDriver<TMode, TPolicy> With<TMode, TPolicy>(TMode mode, TPolicy policy, IEnlightenedEntry entry)
        where TMode : struct, IModeSource
        where TPolicy : struct, IRequestPolicy =>
        Options.Position switch
        {
            ShuntPosition.AboveClass => new ShuntDriver<TMode, TPolicy>(emulated.Disk, entry, mode, policy, Counters, Description, whole: entry),
            // What it passes down is not a request but the command that this came from.
            ShuntPosition.BelowPort => new ShuntDriver<TMode, TPolicy>(new RefusingDriver(entry.Geometry), entry, mode, policy, Counters, Description, whole: entry),
            _ => new ShuntDriver<TMode, TPolicy>(emulated.Port, entry, mode, policy, Counters, Description, whole: emulated.Port),
        };

    private void Insert()
    {
        switch (Options.Position)
        {
            case ShuntPosition.AboveClass:
                emulated.Layers.Above = _shunt;
                break;
            case ShuntPosition.BelowPort:
                emulated.Registers.Divert(_shunt!, RequestTypes.All);
                break;
            default:
                emulated.Layers.Lower = _shunt!;
                break;
        }
    }

    private void Remove()
    {
        emulated.Layers.Above = null;
        emulated.Layers.Lower = emulated.Port;
        emulated.Registers.PassDown();
    }
}
