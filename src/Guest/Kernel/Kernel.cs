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
using VmShunt.Guest.Requests;
using VmShunt.Ring.Interop;
using VmShunt.Terminal;
using VmShunt.Trap.VmExit;

namespace VmShunt.Guest;

/// <summary>The running kernel of VM-C: creates its parts and connects them. One thread calls its methods; requests run on any thread.</summary>
internal sealed class Kernel : IDisposable
{
    private const ulong DiskNumber = 0;

    // The crash code for the hypervisor; a crash on purpose has another one.
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
        Pages = ram.Pages();
        _report.Rehearse();
        AppDomain.CurrentDomain.UnhandledException += OnUnhandledException;
        if (_machine is null || boot.Hba is null) return;
        _hypervisor = Hypervisor.Find(boot.Processor!);
        var processors = new MachineProcessors(_machine, boot.Processor!);
        _bus = new HypervisorBus(_hypervisor, processors, DiskNumber);
        var interrupts = new InterruptProcessor(processors.Start(), processors, Crash, Die);
        interrupts.Handle(GuestLayout.BusVector, _watch.Note);
        _emulated = Attach(boot.Hba);
        _emulated.PrepareCrash(_machine, _hypervisor);
        if (options.OverwritesDump) _emulated.CrashPath!.AllowOverwriting();
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

    /// <summary>The size of the memory, without the crash reserve.</summary>
    internal ulong RamBytes => _machine?.RamBytes ?? (ulong)_options.MemoryBytes;

    internal CrashGate Crash { get; } = new();

    internal GuestMode Mode => _remote is null ? _mode?.Mode ?? GuestMode.Emulating : GuestMode.Enlightened;

    /// <summary>The class driver of the emulating stack; null without a machine, or once removed.</summary>
    internal DiskClassDriver? EmulatingDisk => _emulated is { IsRemoved: false } ? _emulated.Disk : null;

    /// <summary>Whether the emulating stack was removed.</summary>
    internal bool IsEmulatingRemoved => _emulated?.IsRemoved == true;

    /// <summary>The devices that applications can find, or null without a machine.</summary>
    internal DeviceTree? Devices { get; }

    /// <summary>Controls the stacks; null without a machine.</summary>
    internal StackControl? Stacks { get; }

    /// <summary>The class driver of the enlightened stack, or null.</summary>
    internal DiskClassDriver? EnlightenedDisk => _remote?.Disk ?? _mode?.Enlightened?.Disk;

    /// <summary>The machine's processors, or null without an emulated disk.</summary>
    internal MachineProcessors? Processors => _emulated?.Processors;

    /// <summary>The shunt of the emulating stack, or null.</summary>
    internal ShuntInstallation? Shunt => _mode?.Shunt;

    /// <summary>The channel to VM-H, or null.</summary>
    internal BusChannel? Channel => _remote?.Port.Channel ?? _mode?.Channel;

    /// <summary>The partitions of the emulated disk.</summary>
    internal IReadOnlyList<GptPartition> Partitions => _emulated?.Partitions ?? [];

    /// <summary>The crash path, or null without an emulated disk.</summary>
    internal CrashPath? CrashPath => _emulated?.CrashPath;

    internal GptPartition? DumpPartition => Partitions.FirstOrDefault(p => p.Type == PartitionTypes.Dump);

    /// <summary>Reconnects of the bus or, without a hypervisor, of its back-end.</summary>
    internal int Reconnects => _remote?.Port.Reconnects ?? _mode?.Returns ?? 0;

    /// <summary>Requests in flight on both stacks.</summary>
    internal int InFlight => _mode?.InFlight ?? (int)(_remote?.Disk.Counters.InFlight ?? 0);

    /// <summary>Accesses to device registers so far.</summary>
    internal long RegisterAccesses => _emulated?.Processors.Accesses ?? 0;

    /// <summary>The address of the emulated controller's registers; 0 without one.</summary>
    internal ulong Abar => _emulated?.Hba.Abar ?? 0;

    /// <summary>Starts the kernel in the requested mode.</summary>
    /// <exception cref="IOException">The disk or the bus does not work.</exception>
    internal static Kernel Start(BootParameters boot, KernelOptions options)
    {
        var kernel = new Kernel(options, boot, boot.Machine is { } machine ? machine.Ram() : GuestRam.Create(options.MemoryBytes));
        if (options.BusSocket is { } socket) kernel._remote = RemoteDisk.Start(socket, options.Wait, kernel.OpenChannel, kernel.Crash, static line => ErrorLine.Write($"vmshunt-guest: {line}"));
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

    /// <summary>Replaces the shunt at run time.</summary>
    /// <exception cref="ShuntMismatchException">VM-H does not agree; the mode is emulating now.</exception>
    internal void Configure(ShuntOptions options)
    {
        if (_mode is null) throw new InvalidOperationException("this guest has no emulating stack, so it has no shunt");
        _mode.Configure(options);
    }

    /// <summary>Whether a hypervisor exists and offers the bus.</summary>
    internal bool IsBusOffered() => _bus?.IsOffered() == true;

    /// <summary>Starts recording accesses to device registers; null stops it.</summary>
    internal void Watch(RegisterWatch? watch) => _emulated?.Processors.Watch(watch);

    /// <summary>Changes the mode at run time.</summary>
    /// <returns>Requests in flight at the switch.</returns>
    /// <exception cref="IOException">The bus is not available; the mode is emulating now.</exception>
    internal int ChangeMode(GuestMode mode)
    {
        if (_mode is not null) return _mode.Change(mode);
        if (mode == Mode) return InFlight;
        throw new IOException("this guest has no emulated disk, so its mode cannot change");
    }

    /// <summary>The processors for applications; started at first use.</summary>
    internal ApplicationProcessors Applications =>
        _applications ??= new ApplicationProcessors(_options.Processors, _emulated?.Processors, _machine?.EcamAddress ?? 0, Crash, Die);

    /// <summary>
    /// Crashes the machine after an unhandled fault: writes a dump or reports why not, and ends the process. Only the first of
    /// several concurrent crashes runs. Does not return.
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

    /// <summary>As <see cref="Die"/>, on purpose: reports the outcome as a command's answer.</summary>
    /// <param name="reason">The reason, as text.</param>
    /// <param name="code">The hypervisor's crash code.</param>
    /// <param name="inFlight">Requests in flight at the decision to crash.</param>
    /// <param name="asJson">Whether the answer is JSON.</param>
    /// <param name="damage">Damage to memory that the crash causes, or null.</param>
    internal void CrashOnPurpose(string reason, ulong code, int inFlight, bool asJson, Action? damage)
    {
        if (Crash.TryRaise()) _report.AnswerAndPowerOff(reason, RunCrash(reason, code, inFlight, damage), asJson);
        Crash.Park();
    }

    private CrashOutcome RunCrash(string reason, ulong code, int inFlight, Action? damage = null) => CrashPath is { } path
        ? path.Run(Crash, reason, code, inFlight, damage)
        : new CrashOutcome(0, 0, 0, "there is no emulated disk");

    /// <summary>Shuts down: drains requests, removes the stacks, powers the machine off.</summary>
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
        // Threads of other processors now lose the machine, which is not a fault.
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
            ErrorLine.Write($"vmshunt-guest: {e.Message}; requests take the trap");
            _mode?.Want(mode);
        }
    }

    private BusChannel OpenChannel(UnixConnection socket, Action<string> lost) =>
        BusChannel.Open(socket, Ram, Pages, _options.Bus, new QueueThreadOptions(
            _options.Bus.Wait,
            Crash,
            enter: () => _emulated?.Processors.Enter(),
            leave: () => _emulated?.Processors.Leave(),
            lost,
            Die));
}
