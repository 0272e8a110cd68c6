using VmShunt.AhciBackend.Controller;
using VmShunt.BlockBackend.Disk;
using VmShunt.Ring.Memory;
using VmShunt.Trap.Ahci;

namespace VmShunt.PhysicalMachine;

/// <summary>
/// An AHCI controller with its disk in a slot of the board: its PCI function and its registers, connected by the command
/// register and BAR 5 (PCI 3.0 §6.2). Any thread.
/// </summary>
internal sealed class AhciCard : IDisposable
{
    private const uint AddressMask = 0xFFFF_FFF0;

    private readonly PciFunction _function = new();
    private readonly GuestMemory _memory;
    private readonly AhciController _controller;
    private readonly Lock _lock = new();

    /// <param name="disk">The disk on its port; stays the caller's.</param>
    /// <param name="memory">What it accesses by DMA while it is bus master; stays the caller's.</param>
    /// <param name="setInterruptLine">Called at each change of the line; must not block.</param>
    internal AhciCard(VirtualizationDriver disk, GuestMemory memory, Action<bool> setInterruptLine)
    {
        _memory = memory;
        _controller = new AhciController(disk, level =>
        {
            _function.SetInterruptStatus(level);
            setInterruptLine(level && !_function.IsInterruptDisabled);
        });
    }

    /// <summary>Configures the function as firmware does: sets BAR 5 and enables memory space and bus mastering.</summary>
    internal void Place(uint registers)
    {
        Span<byte> value = stackalloc byte[sizeof(uint)];
        BitConverter.TryWriteBytes(value, registers);
        WriteConfiguration(PciConfig.Bar5, value);
        BitConverter.TryWriteBytes(value, (uint)(PciCommand.MemorySpace | PciCommand.BusMaster));
        WriteConfiguration(PciConfig.Command, value[..sizeof(ushort)]);
    }

    /// <summary>Whether an access falls into the registers, with BAR 5 and the command register as they are now.</summary>
    internal bool Claims(ulong address, int size, out ulong offset)
    {
        Span<byte> value = stackalloc byte[sizeof(uint)];
        _function.Read(PciConfig.Bar5, value);
        offset = address - (BitConverter.ToUInt32(value) & AddressMask);
        if (offset > HbaRegister.AbarBytes - (ulong)size) return false;
        _function.Read(PciConfig.Command, value[..sizeof(ushort)]);
        return ((PciCommand)BitConverter.ToUInt16(value) & PciCommand.MemorySpace) != 0;
    }

    internal void ReadRegister(ulong offset, Span<byte> value) => _controller.Read(offset, value);

    internal void WriteRegister(ulong offset, ReadOnlySpan<byte> value) => _controller.Write(offset, value);

    internal void ReadConfiguration(ulong offset, Span<byte> value) => _function.Read(offset, value);

    internal void WriteConfiguration(ulong offset, ReadOnlySpan<byte> value)
    {
        lock (_lock)
        {
            _function.Write(offset, value);
            _controller.SetMemory(_function.IsBusMaster ? _memory : null);
        }
    }

    /// <summary>Stops the controller; waits for the command in flight.</summary>
    public void Dispose() => _controller.Dispose();
}
