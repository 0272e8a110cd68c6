using VmShunt.Guest.Block;
using VmShunt.Guest.Bus;
using VmShunt.Guest.Crash;
using VmShunt.Guest.Enlightened;
using VmShunt.Guest.Firmware.Boot;
using VmShunt.Guest.Firmware.Disk;
using VmShunt.Guest.Firmware.Machine;
using VmShunt.Guest.Machine;
using VmShunt.Guest.Memory;
using VmShunt.Guest.Shunt;
using VmShunt.Ring.Interop;

namespace VmShunt.Guest;

/// <summary>
/// The running kernel of VM-C: its memory, its disk's two stacks, and the mode that says which of them requests end on.
/// Modes are changed from one thread; requests run on any, meanwhile.
/// </summary>
internal sealed class Kernel : IDisposable
{
    private const ulong Disk = 0;

    private readonly KernelOptions _options;
    private readonly IMachine? _machine;
    private readonly Hypervisor? _hypervisor;
    private readonly EmulatedDisk? _emulated;
    private BusChannel? _channel;
    private ReconnectingPortDriver? _remote;

    private Kernel(KernelOptions options, BootParameters boot, GuestRam ram)
    {
        _options = options;
        _machine = boot.Machine;
        _hypervisor = boot.Processor is { } processor ? Hypervisor.Find(processor) : null;
        Source = boot.Source;
        Ram = ram;
        Pages = new GuestPages(ram);
        if (_machine is not null && boot.Hba is not null)
            _emulated = EmulatedDisk.Start(_machine, boot.Processor!, _hypervisor, boot.Hba, ram, Pages, Crash, Die);
    }

    internal BootSource Source { get; }

    internal GuestRam Ram { get; }

    internal GuestPages Pages { get; }

    internal CrashStop Crash { get; } = new();

    internal GuestMode Mode { get; private set; }

    /// <summary>The class driver of the emulating stack, or null without a machine.</summary>
    internal DiskClassDriver? EmulatingDisk => _emulated?.Disk;

    /// <summary>The class driver of the enlightened stack, or null while there is none.</summary>
    internal DiskClassDriver? EnlightenedDisk { get; private set; }

    internal ShuntDriver? Shunt => _emulated?.Shunt;

    /// <summary>The channel to VM-H, whoever uses it, or null.</summary>
    internal BusChannel? Channel => _remote?.Channel ?? _channel;

    /// <summary>The partitions of the emulated disk.</summary>
    internal IReadOnlyList<GptPartition> Partitions => _emulated?.Partitions ?? [];

    /// <summary>The way to dump, or null on a disk that has no place for one.</summary>
    internal CrashPath? CrashPath => _emulated?.CrashPath;

    internal GptPartition? DumpPartition => Partitions.FirstOrDefault(p => p.Type == PartitionTypes.Dump);

    /// <summary>How often the back-end of a bus without hypervisor went and came back.</summary>
    internal int Reconnects => _remote?.Reconnects ?? 0;

    /// <summary>Requests in flight on either stack.</summary>
    internal int InFlight => (int)((EmulatingDisk?.Counters.InFlight ?? 0) + (EnlightenedDisk?.Counters.InFlight ?? 0));

    /// <summary>Starts the kernel and enters the mode asked for.</summary>
    /// <exception cref="IOException">The disk or the bus does not work.</exception>
    internal static Kernel Start(BootParameters boot, KernelOptions options)
    {
        var kernel = new Kernel(options, boot, boot.Machine is { } machine ? GuestRam.Of(machine) : GuestRam.Create(options.MemoryBytes));
        if (options.BusSocket is { } socket) kernel.BringUpRemoteDisk(socket);
        else if (options.Mode is { } mode) kernel.ChangeMode(mode);
        else if (kernel.IsBusOffered()) kernel.ChangeMode(GuestMode.Enlightened);
        return kernel;
    }

    /// <summary>Asks the hypervisor, if this is one of ours, whether the disk can be reached over a bus.</summary>
    internal bool IsBusOffered() => _hypervisor?.OffersBus(Disk) == true;

    /// <summary>Changes the mode, live: requests in flight end where they are, later ones take the new way.</summary>
    /// <returns>Requests in flight at the moment of the switch.</returns>
    /// <exception cref="IOException">The bus is not there; the mode is emulating then.</exception>
    internal int ChangeMode(GuestMode mode)
    {
        if (mode == Mode && (mode == GuestMode.Emulating || _channel is not null)) return InFlight;
        if (_emulated is not { Shunt: var shunt }) throw new IOException("this guest has no emulated disk, so its mode cannot change");

        // First everything passes down again, so that whatever the shunt diverted to can end.
        var inFlight = InFlight;
        shunt.PassDown();
        Mode = GuestMode.Emulating;
        TearDownChannel();
        switch (mode)
        {
            case GuestMode.Enlightened:
                var portDriverEn = BringUpEnlightenedStack(OpenBus());
                inFlight = InFlight;
                shunt.Divert(portDriverEn.Submit, PrimaryRequests.All);
                break;
            case GuestMode.Alternate:
                _channel = OpenChannel(OpenBus());
                inFlight = InFlight;
                shunt.Divert(_channel.Submit, PrimaryRequests.Data);
                break;
        }
        Mode = mode;
        return inFlight;
    }

    /// <summary>The end of the machine after a fault that nobody can handle; does not return.</summary>
    internal void Die(Exception cause)
    {
        if (Crash.TryRaise())
        {
            Console.Error.WriteLine($"vmshunt-guest: {cause.Message}");
            Environment.Exit(1);
        }
        Thread.Sleep(Timeout.Infinite);
    }

    /// <summary>Ends in order: requests drained, stacks down, machine powered off.</summary>
    public void Dispose()
    {
        _emulated?.Shunt.PassDown();
        TearDownChannel();
        _emulated?.Dispose();
        // From here on the other processors' threads see the machine go; that is no fault.
        Crash.TryRaise();
        _machine?.PowerOff();
    }

    private void BringUpRemoteDisk(string socket)
    {
        _remote = new ReconnectingPortDriver(
            lost => OpenChannel(UnixConnection.Connect(socket), lost), static what => Console.Error.WriteLine($"vmshunt-guest: {what}"));
        EnlightenedDisk = new DiskClassDriver(_remote, Crash);
        Mode = GuestMode.Enlightened;
    }

    private VirtioBlkPortDriver BringUpEnlightenedStack(UnixConnection socket)
    {
        _channel = OpenChannel(socket);
        var portDriverEn = new VirtioBlkPortDriver(_channel);
        EnlightenedDisk = new DiskClassDriver(portDriverEn, Crash);
        Mode = GuestMode.Enlightened;
        return portDriverEn;
    }

    private UnixConnection OpenBus()
    {
        if (_hypervisor is null) throw new IOException("no hypervisor of ours is here, so there is no bus; only the emulating mode is possible");
        if (!_hypervisor.OffersBus(Disk)) throw new IOException("the hypervisor offers no bus for this disk; only the emulating mode is possible");
        return _hypervisor.OpenBus(Disk);
    }

    private BusChannel OpenChannel(UnixConnection socket) => OpenChannel(socket, OnChannelLost);

    private BusChannel OpenChannel(UnixConnection socket, Action<string> lost) =>
        BusChannel.Open(socket, Ram, Pages, _options.Bus, new RingThread(
            _options.Bus.Wait,
            Crash,
            Enter: () => _emulated?.Processors.Enter(),
            Leave: () => _emulated?.Processors.Leave(),
            lost,
            Die));

    private void TearDownChannel()
    {
        EnlightenedDisk = null;
        _remote?.Dispose();
        _remote = null;
        if (_channel is null) return;
        _channel.Dispose();
        _channel = null;
        _hypervisor?.CloseBus(Disk);
    }

    private void OnChannelLost(string why)
    {
        _emulated?.Shunt.PassDown();
        Mode = GuestMode.Emulating;
        Console.Error.WriteLine($"vmshunt-guest: the bus is lost: {why}; requests take the trap");
    }
}
