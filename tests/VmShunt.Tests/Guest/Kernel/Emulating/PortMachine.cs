using Microsoft.Win32.SafeHandles;
using VmShunt.BlockBackend.Disk;
using VmShunt.BlockDriver.Memory;
using VmShunt.BlockDriver.Requests;
using VmShunt.Guest.Emulating;
using VmShunt.Guest.Firmware.Ahci;
using VmShunt.Guest.Machine;
using VmShunt.Guest.Requests;
using VmShunt.Ring.Memory;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Guest.Kernel.Emulating;

/// <summary>VM-C's emulated port against VM-H's AHCI model, with a thread as the interrupt processor.</summary>
internal sealed class PortMachine : IDisposable
{
    internal const ulong Abar = 0xF000_0000;

    private readonly SafeFileHandle _noFile = new();
    private readonly SemaphoreSlim _raised = new(0);
    private readonly SharedFlag _stop = new();
    private readonly AhciMachine _machine;
    private readonly Thread _interrupts;

    internal PortMachine(PortDriver port)
    {
        _machine = new AhciMachine(port, onInterruptLevel: level =>
        {
            if (level) _raised.Release();
        });
        Ram = new GuestRam(_machine.Memory, _noFile, [new MemoryPart(0, AhciMachine.LowBytes, 0)]);
        Pages = Ram.Pages();
        Registers = new ControllerMmio(_machine.Controller, Abar);
        Port = new EmulatedPort(new DiskGeometry(2048, 1 << 20, "", IsReadOnly: false), Registers);
        Disk = new DiskClassDriver(Port, new CrashGate());
        _interrupts = new Thread(HandleInterrupts);
        _interrupts.Start();
    }

    /// <summary>The controller's registers; counts the accesses that would trap.</summary>
    internal ControllerMmio Registers { get; }

    internal EmulatedPort Port { get; }

    /// <summary>A class driver on the port.</summary>
    internal DiskClassDriver Disk { get; }

    internal GuestRam Ram { get; }

    internal GuestPages Pages { get; }

    internal AhciPortDriver NewDriver() => AhciPortDriver.Start(Port.Registers, new AhciHba(1, Abar), Ram, Pages);

    public void Dispose()
    {
        Port.Release();
        _stop.Raise();
        _raised.Release();
        _interrupts.Join();
        _machine.Dispose();
        _raised.Dispose();
        _noFile.Dispose();
    }

    private void HandleInterrupts()
    {
        while (true)
        {
            _raised.Wait();
            if (_stop.IsRaised) return;
            Port.Registers.HandleInterrupt();
        }
    }
}
