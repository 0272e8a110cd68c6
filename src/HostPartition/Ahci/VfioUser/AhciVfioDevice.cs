using System.Buffers.Binary;
using VmShunt.AhciBackend.Controller;
using VmShunt.BlockBackend.Disk;
using VmShunt.BlockBackend.Transition;
using VmShunt.Ring.Memory;
using VmShunt.Trap.Ahci;
using VmShunt.Trap.VfioUser;

namespace VmShunt.AhciBackend.VfioUser;

/// <summary>
/// One client's AHCI HBA over vfio-user: connects the register file and the configuration space to the client's region
/// accesses, memory and interrupt.
/// </summary>
internal sealed class AhciVfioDevice : IVfioUserDevice, ITrapPath
{
    // Bits 3:0 of a memory BAR are read-only (PCI 3.0 §6.2.5.1).
    private const uint AllOnes = 0xFFFF_FFF0;

    private static readonly VfioRegionInfo[] s_regions =
    [
        default, default, default, default, default,
        new(VfioRegionFlags.Read | VfioRegionFlags.Write, HbaRegister.AbarBytes),
        default,
        new(VfioRegionFlags.Read | VfioRegionFlags.Write, PciConfig.SizeInBytes),
        default,
    ];

    private readonly PciFunction _function = new();
    private readonly VfioInterrupt _interrupt;
    private readonly AhciController _controller;
    private readonly Action? _notShared;
    private readonly GuestTransition? _transition;
    private GuestMemory? _memory;
    private int _unsharedRanges;
    private bool _hasShared, _wasReported;

    /// <param name="disk">The disk; not owned.</param>
    /// <param name="interrupt">The client's interrupt.</param>
    /// <param name="notShared">Called once, when a client that shares no memory starts to use the controller.</param>
    /// <param name="open">Opens the guest's transition; null where it has none.</param>
    internal AhciVfioDevice(VirtualizationDriver disk, VfioInterrupt interrupt, Action? notShared = null, Func<ITrapPath, GuestTransition>? open = null)
    {
        _interrupt = interrupt;
        _notShared = notShared;
        _controller = new AhciController(disk, SetInterruptLevel, open is null ? null : Gate);
        if (open is null) return;
        try
        {
            _transition = open(this);
            _controller.Unplugged = _transition.TrapDiskGone;
        }
        catch
        {
            _controller.Dispose();
            throw;
        }
    }

    public TrapGate Gate { get; } = new();

    public IReadOnlyList<VfioRegionInfo> Regions => s_regions;

    public IReadOnlyList<VfioIrqInfo> Irqs => VfioPciIrq.PinAndOneMessage;

    public bool ReadRegion(int region, ulong offset, Span<byte> data)
    {
        if (region == VfioPciRegion.Bar5) _controller.Read(offset, data);
        else _function.Read(offset, data);
        return true;
    }

    public bool WriteRegion(int region, ulong offset, ReadOnlySpan<byte> data)
    {
        if (region == VfioPciRegion.Bar5)
        {
            _controller.Write(offset, data);
        }
        else
        {
            _function.Write(offset, data);
            ApplyCommandRegister();
            // BAR sizing: firmware, or a kernel, enumerates the device.
            if (_transition is not null && offset == PciConfig.Bar5 && data.Length == sizeof(uint) && (BinaryPrimitives.ReadUInt32LittleEndian(data) & AllOnes) == AllOnes) _transition.Enumerated();
        }
        return true;
    }

    public void SetUnsharedRanges(int count) => _unsharedRanges = count;

    public void SetMemory(GuestMemory? memory)
    {
        _memory = memory;
        _hasShared |= memory is not null;
        ApplyCommandRegister();
    }

    public void Reset()
    {
        _controller.Reset();
        _function.Reset();
        ApplyCommandRegister();
        _transition?.TrapReset();
    }

    public bool Unplug() => _controller.Unplug();

    public void Plug() => _controller.Plug();

    public void Dispose() => _controller.Dispose();

    // Applies the PCI command register: DMA only with Bus Master Enable, INTx only without Interrupt Disable.
    private void ApplyCommandRegister()
    {
        _controller.SetMemory(_function.IsBusMaster ? _memory : null);
        _interrupt.EnablePin(!_function.IsInterruptDisabled);
        if (_function.IsBusMaster) SetDisk();
    }

    // DMA_READ and DMA_WRITE are not used. A port without a disk is found at once; firmware waits a minute for one that answers
    // no command.
    private void SetDisk()
    {
        // Firmware that maps its memory anew has none for a moment.
        var isShared = _hasShared || _unsharedRanges == 0;
        _controller.SetDisk(isShared);
        if (isShared || _wasReported) return;
        _wasReported = true;
        _notShared?.Invoke();
    }

    private void SetInterruptLevel(bool asserted)
    {
        _function.SetInterruptStatus(asserted);
        if (asserted) _interrupt.Raise();
        else _interrupt.Lower();
    }
}
