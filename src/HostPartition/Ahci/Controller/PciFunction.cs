using System.Buffers.Binary;
using VmShunt.Trap.Ahci;

namespace VmShunt.AhciBackend.Controller;

/// <summary>
/// The HBA's PCI configuration space: a type 0 header with the ABAR as BAR 5, INTA, and an MSI capability with one message
/// (AHCI 1.3.1 §2). It stores bytes under a write mask; the owner acts on the settings. Any thread.
/// </summary>
internal sealed class PciFunction
{
    private const int Msi = 0x80, MsiControl = Msi + 2, MsiAddress = Msi + 4, MsiData = Msi + 12;

    // The ids of a widespread AHCI HBA (Intel ICH9), for operating systems that match ids instead of the class code.
    private const ushort Vendor = 0x8086, Device = 0x2922;

    private readonly Lock _lock = new();
    private readonly byte[] _space = new byte[PciConfig.SizeInBytes];
    private readonly byte[] _writable = new byte[PciConfig.SizeInBytes];
    private bool _interrupt;

    internal PciFunction() => Reset();

    /// <summary>Whether Bus Master Enable is set: the HBA may use memory.</summary>
    internal bool IsBusMaster => (Command & PciCommand.BusMaster) != 0;

    /// <summary>Whether Interrupt Disable is set: INTx must not be asserted.</summary>
    internal bool IsInterruptDisabled => (Command & PciCommand.InterruptDisable) != 0;

    /// <summary>Whether MSI is enabled: messages replace INTx.</summary>
    internal bool IsMsiEnabled
    {
        get
        {
            lock (_lock) return (_space[MsiControl] & 1) != 0;
        }
    }

    private PciCommand Command
    {
        get
        {
            lock (_lock) return (PciCommand)BinaryPrimitives.ReadUInt16LittleEndian(_space.AsSpan(PciConfig.Command));
        }
    }

    /// <summary>Sets the power-on state.</summary>
    internal void Reset()
    {
        lock (_lock)
        {
            Array.Clear(_space);
            Define(PciConfig.VendorId, 2, Vendor);
            Define(PciConfig.DeviceId, 2, Device);
            const PciCommand settable = PciCommand.MemorySpace | PciCommand.BusMaster | PciCommand.ParityError
                | PciCommand.SystemError | PciCommand.InterruptDisable;
            Define(PciConfig.Command, 2, 0, (uint)settable);
            Define(PciConfig.Status, 2, (uint)PciStatus.CapabilitiesList);
            Define(PciConfig.RevisionId, 1, 2);
            Define(PciConfig.ClassCode, 3, PciConfig.AhciClassCode);
            // Only the bits above the region's size are writable, so that writing all ones reads back the size.
            Define(PciConfig.Bar5, 4, 0, unchecked((uint)-HbaRegister.AbarBytes));
            Define(PciConfig.SubsystemVendorId, 2, Vendor);
            Define(PciConfig.SubsystemId, 2, Device);
            Define(PciConfig.CapabilitiesPointer, 1, Msi);
            Define(PciConfig.InterruptLine, 1, 0, 0xFF);
            Define(PciConfig.InterruptPin, 1, 1);
            Define(Msi, 1, PciConfig.MsiCapabilityId);
            Define(MsiControl, 2, 0x0080, 0x0071); // 64-bit addresses; enable and message count are settable
            Define(MsiAddress, 4, 0, 0xFFFF_FFFC);
            Define(MsiAddress + 4, 4, 0, 0xFFFF_FFFF);
            Define(MsiData, 2, 0, 0xFFFF);
        }
    }

    /// <summary>Sets Interrupt Status in the status register.</summary>
    internal void SetInterruptStatus(bool pending)
    {
        lock (_lock) _interrupt = pending;
    }

    /// <summary>Reads at any offset and of any length. Bytes past the end read as 0.</summary>
    internal void Read(ulong offset, Span<byte> data)
    {
        lock (_lock)
        {
            for (var i = 0; i < data.Length; i++)
            {
                var at = IndexOf(offset, i);
                data[i] = at < 0 ? (byte)0 : _space[at];
                if (at == PciConfig.Status && _interrupt) data[i] |= (byte)PciStatus.Interrupt;
            }
        }
    }

    /// <summary>Writes the writable bits, at any offset and of any length.</summary>
    internal void Write(ulong offset, ReadOnlySpan<byte> data)
    {
        lock (_lock)
        {
            for (var i = 0; i < data.Length; i++)
            {
                var at = IndexOf(offset, i);
                if (at >= 0) _space[at] = (byte)(_space[at] & ~_writable[at] | data[i] & _writable[at]);
            }
        }
    }

    private static int IndexOf(ulong offset, int i) =>
        offset < PciConfig.SizeInBytes && (int)offset + i < PciConfig.SizeInBytes ? (int)offset + i : -1;

    private void Define(int at, int bytes, uint value, uint writable = 0)
    {
        for (var i = 0; i < bytes; i++)
        {
            _space[at + i] = (byte)(value >> i * 8);
            _writable[at + i] = (byte)(writable >> i * 8);
        }
    }
}
