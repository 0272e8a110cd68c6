using VmShunt.BlockDriver;
using VmShunt.BlockDriver.Memory;
using VmShunt.BlockDriver.Requests;
using VmShunt.BlockDriver.Virtio;
using VmShunt.Guest.Crash;
using VmShunt.Guest.Devices;
using VmShunt.Guest.Emulating;
using VmShunt.Guest.Enlightened;
using VmShunt.Guest.Firmware.Ahci;
using VmShunt.Guest.Firmware.Boot;
using VmShunt.Guest.Firmware.Machine;
using VmShunt.Guest.Firmware.Partitions;
using VmShunt.Guest.Machine;
using VmShunt.Guest.Mode;
using VmShunt.Guest.Observing;
using VmShunt.Ring.Interop;
using VmShunt.Trap.VmExit;

namespace VmShunt.Guest;

/// <summary>The running kernel of VM-C: its parts are made and joined here. Its methods are one thread's; requests run on any.</summary>
internal sealed class Kernel : IDisposable
{
    private const ulong DiskNumber = 0;

    // What the hypervisor is told; a crash on purpose has another number.
    private const ulong UnhandledFault = 2;

    private readonly KernelOptions _options;
    private readonly IMachine? _machine;
    private readonly Hypervisor? _hypervisor;
    private readonly HypervisorBus? _bus;
    private readonly BusWatch _watch = new();
    private readonly EmulatedDisk? _emulated;
    private readonly ModeControl? _mode;
    private readonly CrashReport _report = new();
    private ApplicationProcessors? _applications;
    private GuestMeter? _meter;
    private RemoteDisk? _remote;

    private Kernel(KernelOptions options, BootParameters boot, GuestRam ram)
    {
        _options = options;
        _machine = boot.Machine;
        Source = boot.Source;
        Ram = ram;
        Pages = new GuestPages(ram);
        _report.Rehearse();
        AppDomain.CurrentDomain.UnhandledException += OnUnhandledException;
        if (_machine is null || boot.Hba is null) return;
        _hypervisor = Hypervisor.Find(boot.Processor!);
        var processors = new MachineProcessors(_machine, boot.Processor!);
        _bus = new HypervisorBus(_hypervisor, processors, DiskNumber);
        var interrupts = new InterruptProcessor(processors.Start(), Crash, Die);
        interrupts.Handle(GuestLayout.BusVector, _watch.Note);
        _emulated = Attach(boot.Hba);
        _emulated.PrepareCrash(_machine, _hypervisor);
        _emulated.JoinPort(_emulated.Registers);
        interrupts.Start();
        _mode = new ModeControl(_emulated, _bus, OpenChannel, Crash, _watch.Note);
        _mode.Configure(options.Shunt);
        Devices = new DeviceTree(_emulated, () => _mode.Enlightened, () => AhciHba.FindAll(processors, _machine.EcamAddress), Attach);
        Stacks = new StackControl(_mode, _emulated, Devices, disk => new HypervisorBus(_hypervisor, processors, disk), OpenChannel, _watch.Note);
        Stacks.Suppress(options.Suppresses);
        _watch.Start(() => _mode.Settle() & Stacks.Settle());

        EmulatedDisk Attach(AhciHba hba) => EmulatedDisk.Attach(hba, processors, interrupts, ram, Pages, Crash, Die);
    }

    internal BootSource Source { get; }

    internal GuestRam Ram { get; }

    internal GuestPages Pages { get; }

    internal CrashGate Crash { get; } = new();

    internal GuestMode Mode => _remote is null ? _mode?.Mode ?? GuestMode.Emulating : GuestMode.Enlightened;

    /// <summary>The class driver of the emulating stack, or null without a machine, or after it was removed.</summary>
    internal DiskClassDriver? EmulatingDisk => _emulated is { IsRemoved: false } ? _emulated.Disk : null;

    /// <summary>Whether there was an emulating stack that is removed.</summary>
    internal bool IsEmulatingRemoved => _emulated?.IsRemoved == true;

    /// <summary>The devices as applications find them, or null without a machine.</summary>
    internal DeviceTree? Devices { get; }

    /// <summary>What may be done to the stacks, or null without a machine.</summary>
    internal StackControl? Stacks { get; }

    /// <summary>The class driver of the enlightened stack, or null while there is none.</summary>
    internal DiskClassDriver? EnlightenedDisk => _remote?.Disk ?? _mode?.Enlightened?.Disk;

    /// <summary>The machine's processors, or null without an emulated disk.</summary>
    internal MachineProcessors? Processors => _emulated?.Processors;

    /// <summary>The shunt of the emulating stack, or null without one.</summary>
    internal ShuntInstallation? Shunt => _mode?.Shunt;

    /// <summary>The channel to VM-H, whoever uses it, or null.</summary>
    internal BusChannel? Channel => _remote?.Port.Channel ?? _mode?.Channel;

    /// <summary>The partitions of the emulated disk.</summary>
    internal IReadOnlyList<GptPartition> Partitions => _emulated?.Partitions ?? [];

    /// <summary>The way to dump, or null without an emulated disk.</summary>
    internal CrashPath? CrashPath => _emulated?.CrashPath;

    internal GptPartition? DumpPartition => Partitions.FirstOrDefault(p => p.Type == PartitionTypes.Dump);

    /// <summary>How often the bus, or without a hypervisor its back-end, went and came back.</summary>
    internal int Reconnects => _remote?.Port.Reconnects ?? _mode?.Returns ?? 0;

    /// <summary>Requests in flight on either stack.</summary>
    internal int InFlight => _mode?.InFlight ?? (int)(_remote?.Disk.Counters.InFlight ?? 0);

    /// <summary>Accesses to device registers so far.</summary>
    internal long RegisterAccesses => _emulated?.Processors.Accesses ?? 0;

    /// <summary>Where the emulated controller's registers begin; 0 without one.</summary>
    internal ulong Abar => _emulated?.Hba.Abar ?? 0;

    /// <summary>Starts the kernel and enters the mode asked for.</summary>
    /// <exception cref="IOException">The disk or the bus does not work.</exception>
    internal static Kernel Start(BootParameters boot, KernelOptions options)
    {
        var kernel = new Kernel(options, boot, boot.Machine is { } machine ? machine.Ram() : GuestRam.Create(options.MemoryBytes));
        if (options.BusSocket is { } socket) kernel._remote = RemoteDisk.Start(socket, options.Wait, kernel.OpenChannel, kernel.Crash);
        else if (options.Mode is { } mode) kernel.TryChangeMode(mode);
        else if (kernel.IsBusOffered()) kernel.TryChangeMode(GuestMode.Enlightened);
        else kernel._mode?.Want(GuestMode.Enlightened);
        if (options.ReverseShunt is { } target) kernel.Stacks?.SetReverseShunt(target);
        if (options.RemovesEmulating) kernel.Stacks?.RemoveEmulating();
        kernel._meter = new GuestMeter(new MeteredGuest(
            () => kernel.EmulatingDisk,
            () => kernel.EnlightenedDisk,
            () => kernel.Channel,
            () => kernel.Shunt?.Counters,
            () => kernel.RegisterAccesses,
            () => kernel.Reconnects,
            () => kernel.Mode != GuestMode.Emulating));
        return kernel;
    }

    /// <summary>Exchanges the shunt for one of another kind, live.</summary>
    /// <exception cref="ShuntMismatchException">VM-H does not agree; the mode is emulating then.</exception>
    internal void Configure(ShuntOptions options)
    {
        if (_mode is null) throw new InvalidOperationException("this guest has no emulating stack, and so no shunt");
        _mode.Configure(options);
    }

    /// <summary>Whether the hypervisor, if there is one, offers the bus.</summary>
    internal bool IsBusOffered() => _bus?.IsOffered() == true;

    /// <summary>Has accesses to device registers recorded, or with null no more.</summary>
    internal void Watch(RegisterWatch? watch) => _emulated?.Processors.Watch(watch);

    /// <summary>Changes the mode, live.</summary>
    /// <returns>Requests in flight at the moment of the switch.</returns>
    /// <exception cref="IOException">The bus is not there; the mode is emulating then.</exception>
    internal int ChangeMode(GuestMode mode)
    {
        if (_mode is not null) return _mode.Change(mode);
        if (mode == Mode) return InFlight;
        throw new IOException("this guest has no emulated disk, so its mode cannot change");
    }

    /// <summary>The processors that applications run on; they start when they are first asked for.</summary>
    internal ApplicationProcessors Applications =>
        _applications ??= new ApplicationProcessors(_options.Processors, _emulated?.Processors, _machine?.EcamAddress ?? 0, Crash, Die);

    /// <summary>
    /// The end of the machine after a fault that nobody can handle: it is dumped, or says why not, and is switched off. Of
    /// several at a time only the first is heard. Does not return.
    /// </summary>
    internal void Die(Exception cause)
    {
        if (Crash.TryRaise())
        {
            var reason = CrashPath.MessageOf(cause);
            _report.ComplainAndPowerOff(reason, RunCrash(reason, UnhandledFault, InFlight));
        }
        Crash.Park();
    }

    /// <summary>As <see cref="Die"/>, on purpose: the answer is a command's.</summary>
    /// <param name="reason">Why, for people.</param>
    /// <param name="code">Why, for the hypervisor.</param>
    /// <param name="inFlight">Requests in flight at the decision to crash.</param>
    /// <param name="asJson">The form of the answer.</param>
    /// <param name="damage">What the crash itself does to the memory, or null.</param>
    internal void CrashOnPurpose(string reason, ulong code, int inFlight, bool asJson, Action? damage)
    {
        if (Crash.TryRaise()) _report.AnswerAndPowerOff(reason, RunCrash(reason, code, inFlight, damage), asJson);
        Crash.Park();
    }

    private CrashOutcome RunCrash(string reason, ulong code, int inFlight, Action? damage = null) => CrashPath is { } path
        ? path.Run(Crash, reason, code, inFlight, damage)
        : new CrashOutcome(0, 0, 0, "there is no emulated disk");

    /// <summary>Ends in order: requests drained, stacks down, machine powered off.</summary>
    public void Dispose()
    {
        AppDomain.CurrentDomain.UnhandledException -= OnUnhandledException;
        _meter?.Dispose();
        _watch.Dispose();
        _remote?.Dispose();
        _mode?.Dispose();
        Stacks?.Dispose();
        Devices?.Dispose();
        _emulated?.Dispose();
        // From here on the other processors' threads see the machine go; that is no fault.
        Crash.TryRaise();
        _machine?.PowerOff();
    }

    private void OnUnhandledException(object sender, UnhandledExceptionEventArgs e) => Die((Exception)e.ExceptionObject);

    private void TryChangeMode(GuestMode mode)
    {
        try
        {
            ChangeMode(mode);
        }
        catch (ShuntMismatchException e)
        {
            Console.Error.WriteLine($"vmshunt-guest: {e.Message}; requests take the trap");
            _mode?.Want(mode);
        }
    }

    private BusChannel OpenChannel(UnixConnection socket, Action<string> lost) =>
        BusChannel.Open(socket, Ram, Pages, _options.Bus, new QueueThreadOptions(
            _options.Bus.Wait,
            Crash,
            Enter: () => _emulated?.Processors.Enter(),
            Leave: () => _emulated?.Processors.Leave(),
            lost,
            Die));
}
