using VmShunt.BlockDriver.Requests;
using VmShunt.Guest.Emulating;
using VmShunt.Guest.Enlightened;
using VmShunt.Guest.Requests;
using VmShunt.Guest.Shunt;
using VmShunt.Guest.Shunt.AtRegisters;
using VmShunt.Guest.Shunt.Modes;
using VmShunt.Guest.Shunt.Policies;
using VmShunt.Ring.Memory;
using VmShunt.Ring.VirtioBlk;

namespace VmShunt.Guest.Mode;

/// <summary>
/// Builds the shunt of one disk and inserts it at its position. An exchange is one store in the stack; requests that have
/// passed the shunt are not affected. At the registers the port is idle for the moment of the exchange.
/// <see cref="Enlighten"/> and <see cref="Emulate"/> matter only to the mode sources <c>told</c> and <c>arrives</c>.
/// </summary>
/// <param name="emulated">The stack that the shunt is inserted into.</param>
internal sealed class ShuntInstallation(EmulatedDisk emulated) : IDisposable
{
    private readonly ShuntSwitch _told = new();
    private RegisterShunt? _atRegisters;
    private Installed? _installed;

    internal ShuntOptions Options => Ordered.Load(ref _installed)?.Options ?? ShuntOptions.Default;

    internal ShuntCounters Counters { get; } = new();

    /// <summary>The criterion by which requests are primary.</summary>
    internal PrimaryCriterion Criterion => Ordered.Load(ref _installed)?.Criterion ?? default;

    /// <summary>The request types that are primary, or of which some requests may be; by frequency those that are so now.</summary>
    internal RequestTypes PrimaryNow => Ordered.Load(ref _installed) switch
    {
        null => default,
        { Frequency: { } meter } => meter.Frequent,
        var installed => installed.Primary,
    };

    /// <summary>The shunt at the registers; null unless that position is chosen.</summary>
    internal RegisterShunt? AtRegisters => Ordered.Load(ref _atRegisters);

    /// <summary>Builds a shunt and replaces the present one; with the mode source <c>arrives</c> it is inserted later.</summary>
    /// <param name="options">The mode source and the position.</param>
    /// <param name="criterion">The criterion by which requests are primary.</param>
    /// <param name="primary">The request types that may be primary.</param>
    /// <param name="port">The port driver (enlightened), or the shunt's own.</param>
    /// <param name="top">The class driver (enlightened), for a shunt above the class driver.</param>
    internal void Install(ShuntOptions options, PrimaryCriterion criterion, RequestTypes primary, VirtioBlkPortDriver port, IEnlightenedEntry top)
    {
        if (Ordered.Load(ref _installed) is { } old)
        {
            if (old.Commander is not null) old.Commander.Commanded = null;
            if (old.Options.Position != options.Position || options.Source == ModeSource.Arrives) Remove();
        }
        Place(options.Position == ShuntPosition.BelowPort);

        var frequency = criterion == PrimaryCriterion.Frequency ? new FrequencyMeter(primary) : null;
        var entry = options.Position == ShuntPosition.AboveClass ? top : port;
        var commands = options.Source == ModeSource.Commanded ? new ShuntSwitch() : null;
        var shunt = options.Source switch
        {
            ModeSource.Arrives => Build(new PresenceMode()),
            ModeSource.Looks => Build(new LookingMode()),
            ModeSource.Tries => Build(new TryingMode()),
            ModeSource.Commanded => Build(new CommandedMode(commands!)),
            _ => Build(new ToldMode(_told)),
        };
        var installed = new Installed(options, criterion, primary, frequency, shunt, commands is null ? null : port);
        Ordered.Store(ref _installed, installed);
        if (commands is not null) port.Commanded = commands;
        if (options.Source != ModeSource.Arrives) Insert(installed);

        IBlockDriver Build<TMode>(TMode mode) where TMode : struct, IModeSource => criterion switch
        {
            PrimaryCriterion.Importance => With(mode, new ImportantRequests(primary)),
            PrimaryCriterion.Frequency => With(mode, new FrequentRequests(frequency!)),
            PrimaryCriterion.Effort => With(mode, new EffortfulRequests(emulated.Port.Costs, primary)),
            _ => With(mode, new AllRequests()),
        };

        IBlockDriver With<TMode, TPolicy>(TMode mode, TPolicy policy)
            where TMode : struct, IModeSource
            where TPolicy : struct, IRequestPolicy
        {
            var description = $"{ShuntNames.Of(options.Position)}, {ShuntNames.Of(options.Source)}, policy {ShuntNames.Of(criterion)}";
            return options.Position switch
            {
                ShuntPosition.AboveClass => new ShuntDriver<TMode, TPolicy>(emulated.Disk, entry, mode, policy, Counters, description, whole: entry),
                // A refused request makes the shunt at the registers issue the whole command to the controller.
                ShuntPosition.BelowPort => new ShuntDriver<TMode, TPolicy>(new RefusingDriver(entry.Geometry), entry, mode, policy, Counters, description, whole: entry),
                _ => new ShuntDriver<TMode, TPolicy>(emulated.Port, entry, mode, policy, Counters, description, whole: emulated.Port),
            };
        }
    }

    /// <summary>The enlightened side is available.</summary>
    internal void Enlighten()
    {
        if (Ordered.Load(ref _installed) is not { } installed) return;
        if (installed.Options.Source == ModeSource.Arrives) Insert(installed);
        else if (installed.Options.Source == ModeSource.Told) _told.Divert();
    }

    /// <summary>The enlightened side is to be left, or is lost. Any thread.</summary>
    internal void Emulate()
    {
        if (Options.Source == ModeSource.Arrives) Remove();
        _told.PassDown();
    }

    /// <summary>Takes the shunt out of the register path and ends its thread.</summary>
    public void Dispose() => Place(atRegisters: false);

    private void Insert(Installed installed)
    {
        switch (installed.Options.Position)
        {
            case ShuntPosition.AboveClass:
                emulated.Layers.Above = installed.Shunt;
                break;
            case ShuntPosition.BelowPort:
                AtRegisters!.Divert(installed.Shunt, RequestTypes.All);
                break;
            default:
                emulated.Layers.Lower = installed.Shunt;
                break;
        }
    }

    private void Remove()
    {
        emulated.Layers.Above = null;
        emulated.Layers.Lower = emulated.Port;
        AtRegisters?.PassDown();
    }

    // Puts a shunt between port driver and registers, or takes it out. Requests are held while the port becomes idle.
    private void Place(bool atRegisters)
    {
        var old = AtRegisters;
        if (atRegisters == old is not null) return;
        var next = atRegisters
            ? new RegisterShunt(emulated.Processors, emulated.Hba.Abar, emulated.Ram.Memory, emulated.Port.HandleInterrupt, emulated.Crash, emulated.MachineCheck)
            : null;
        emulated.Exchange(next);
        Ordered.Store(ref _atRegisters, next);
        old?.Dispose();
    }

    private sealed record Installed(
        ShuntOptions Options, PrimaryCriterion Criterion, RequestTypes Primary, FrequencyMeter? Frequency, IBlockDriver Shunt, VirtioBlkPortDriver? Commander);
}
