using Microsoft.Win32.SafeHandles;
using VmShunt.BlockBackend.Disk;
using VmShunt.Guest.Firmware.Machine;
using VmShunt.Ring.Files;
using VmShunt.Ring.Memory;
using VmShunt.Trap.VmExit;

namespace VmShunt.PhysicalMachine;

/// <summary>
/// A computer without a hypervisor: RAM, processors, an interrupt controller, and an AHCI controller in the first slot, at
/// the same addresses as in VM-C (the guest). Any thread.
/// </summary>
internal sealed class Board : IMachine, IDisposable
{
    private readonly Processor?[] _processors = new Processor?[GuestLayout.MaxProcessors];
    private readonly InterruptController _interrupts = new();
    private readonly AhciCard _card;
    private readonly SystemBus _bus;

    /// <summary>Creates the board and configures its devices as firmware does.</summary>
    /// <param name="disk">The disk; stays the caller's.</param>
    /// <param name="ramBytes">A multiple of 4096.</param>
    /// <exception cref="IOException">There is not enough memory.</exception>
    internal Board(VirtualizationDriver disk, ulong ramBytes)
    {
        RamBytes = ramBytes;
        Parts = GuestLayout.Parts(ramBytes);
        MemoryFile = SharedMemoryFile.Create("vmshunt-machine", (long)ramBytes + GuestLayout.CrashReserveBytes);
        var regions = Parts.Append(new MemoryPart(GuestLayout.CrashReserveAddress, GuestLayout.CrashReserveBytes, ramBytes))
            .Select(part => MemoryRegion.Map(MemoryFile, part.FileOffset, part.Size, part.GuestAddress)).ToArray();
        Memory = new GuestMemory(regions);
        // The memory keeps the mappings alive.
        foreach (var region in regions) region.Dispose();

        _card = new AhciCard(disk, Memory, level => _interrupts.SetLine(0, level));
        _card.Place((uint)GuestLayout.BarAddress);
        _bus = new SystemBus([_card]);
    }

    public GuestMemory Memory { get; }

    public SafeFileHandle MemoryFile { get; }

    public IReadOnlyList<MemoryPart> Parts { get; }

    public ulong RamBytes { get; }

    public ulong CrashReserveAddress => GuestLayout.CrashReserveAddress;

    public int CrashReserveBytes => GuestLayout.CrashReserveBytes;

    public ulong EcamAddress => GuestLayout.EcamAddress;

    public IProcessor StartProcessor(int index)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, _processors.Length);
        var processor = new Processor(_bus, _interrupts);
        return Interlocked.CompareExchange(ref _processors[index], processor, null) is null
            ? processor
            : throw new InvalidOperationException($"processor {index} is already started");
    }

    /// <summary>Switches the controller off. No command moves data afterwards.</summary>
    public void PowerOff() => _card.Dispose();

    /// <summary>
    /// As <see cref="PowerOff"/>. The RAM stays mapped until the process exits, because processors may still access it.
    /// </summary>
    public void Dispose() => PowerOff();
}
