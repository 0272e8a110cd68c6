using VmShunt.BlockBackend.Disk;
using VmShunt.BlockDriver;
using VmShunt.BlockDriver.Memory;
using VmShunt.BlockDriver.Requests;
using VmShunt.BlockDriver.Virtio;
using VmShunt.Guest.Emulating;
using VmShunt.Guest.Enlightened;
using VmShunt.Guest.Firmware.Ahci;
using VmShunt.Guest.Machine;
using VmShunt.Guest.Mode;
using VmShunt.Guest.Requests;
using VmShunt.Ring.Memory;
using VmShunt.Ring.Notification;
using GuestHypervisor = VmShunt.Guest.Machine.Hypervisor;

namespace VmShunt.Tests.Guest.Kernel.Machine;

/// <summary>A guest's drivers and mode control on an <see cref="InProcessMachine"/>, joined as the kernel joins them.</summary>
internal sealed class InProcessGuest : IDisposable
{
    private int _busLost;

    internal InProcessGuest(PortDriver port, bool hasHypervisor = true)
    {
        Machine = new InProcessMachine(port);
        var boot = Machine.StartProcessor(0);
        var hypervisor = hasHypervisor ? GuestHypervisor.Find(boot) : null;
        Processors = new MachineProcessors(Machine, boot);
        // Another test's machine may use this thread next.
        Processors.Leave();
        var ram = Machine.Ram();
        Pages = ram.Pages();
        var interrupts = new InterruptProcessor(Processors.Start(), Processors, Crash, static _ => { });
        Emulated = EmulatedDisk.Attach(new AhciHba(1, InProcessMachine.Abar), Processors, interrupts, ram, Pages, Crash, static _ => { });
        Emulated.JoinPort(Emulated.Registers);
        interrupts.Start();
        var options = new BusOptions(1, WaitPolicy.Never, RingLayout.Packed);
        Mode = new ModeControl(
            Emulated,
            new HypervisorBus(hypervisor, Processors, 0),
            (socket, lost) => BusChannel.Open(socket, ram, Pages, options, new QueueThreadOptions(options.Wait, Crash, static () => { }, static () => { }, lost, static _ => { })),
            Crash,
            () => Interlocked.Increment(ref _busLost));
        Mode.Configure(ShuntOptions.Default);
    }

    internal InProcessMachine Machine { get; }

    internal MachineProcessors Processors { get; }

    internal CrashGate Crash { get; } = new();

    internal GuestPages Pages { get; }

    internal EmulatedDisk Emulated { get; }

    internal ModeControl Mode { get; }

    internal DiskClassDriver Disk => Emulated.Disk;

    internal BlockCounters Counters => Disk.Counters;

    /// <summary>Disconnects VM-H and waits until mode control has been notified.</summary>
    internal void LoseBus()
    {
        var before = Ordered.Load(ref _busLost);
        Machine.LoseBus();
        Assert.True(SpinWait.SpinUntil(() => Ordered.Load(ref _busLost) > before, TimeSpan.FromSeconds(60)), "the loss of the bus was not reported");
    }

    public void Dispose()
    {
        Mode.Dispose();
        Emulated.Dispose();
        Machine.Dispose();
    }
}
