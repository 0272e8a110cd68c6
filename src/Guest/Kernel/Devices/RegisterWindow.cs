using VmShunt.BlockDriver.Requests;
using VmShunt.Guest.Emulating;
using VmShunt.Guest.Firmware.Machine;
using VmShunt.Trap.Ahci;

namespace VmShunt.Guest.Devices;

/// <summary>
/// An AHCI controller's registers, mapped by an application. The port of a hidden disk reads as a port without a device. If
/// the disk was hidden or shown since the registers were mapped, the port reads as all ones, like a removed device, so that
/// a probe never sees half a disk. The port's driver may write, and reads the real values. Any thread.
/// </summary>
internal sealed class RegisterWindow : IMmio, ICommandPaths
{
    private const int Port0 = HbaRegister.Ports, Port0End = HbaRegister.Ports + HbaRegister.PortStride;
    private const uint NoSignature = 0xFFFF_FFFF, NoDeviceTaskFile = 0x7F;

    private readonly IMmio _registers;
    private readonly DiskVisibility _disk;
    private readonly int _generation;
    private readonly bool _drivesPort;

    internal RegisterWindow(IMmio registers, ulong address, DiskVisibility disk, bool drivesPort)
    {
        _registers = registers;
        _disk = disk;
        _generation = disk.Now.Generation;
        _drivesPort = drivesPort;
        Address = address;
    }

    /// <summary>The guest-physical address of the first register (ABAR).</summary>
    public ulong Address { get; }

    /// <inheritdoc/>
    /// <exception cref="ArgumentOutOfRangeException">The address is not in the window.</exception>
    public ulong Read(ulong address, int size)
    {
        var offset = OffsetOf(address, size);
        if (_drivesPort) return _registers.Read(address, size);
        var view = _disk.Now;
        var isPort = offset < Port0End && offset + size > Port0;
        if (isPort && view.Generation != _generation)
        {
            _disk.NoteSuppressed();
            return ulong.MaxValue >> 8 * (sizeof(ulong) - size);
        }
        if (!view.IsHidden) return _registers.Read(address, size);
        if (isPort)
        {
            _disk.NoteSuppressed();
            return EmptyPort(offset, size);
        }
        var value = _registers.Read(address, size);
        // The port's interrupt bit would reveal the disk.
        return offset == HbaRegister.IS ? value & ~1UL : value;
    }

    /// <inheritdoc/>
    /// <exception cref="ArgumentOutOfRangeException">The address is not in the window.</exception>
    /// <exception cref="UnauthorizedAccessException">The window is read-only.</exception>
    public void Write(ulong address, int size, ulong value)
    {
        var offset = OffsetOf(address, size);
        if (!_drivesPort)
            throw new UnauthorizedAccessException($"register {offset:x} can be written only by the port's driver; build a stack on the controller to write");
        _registers.Write(address, size, value);
    }

    bool ICommandPaths.HasShunt => _registers is ICommandPaths { HasShunt: true };

    RequestPath ICommandPaths.PathOf(int slot) => (_registers as ICommandPaths)?.PathOf(slot) ?? RequestPath.Trap;

    private int OffsetOf(ulong address, int size)
    {
        var offset = address - Address;
        return size is 1 or 2 or 4 or 8 && offset <= (ulong)(HbaRegister.AbarBytes - size)
            ? (int)offset
            : throw new ArgumentOutOfRangeException(nameof(address), $"{size} bytes at {address:x} are not within the {HbaRegister.AbarBytes} bytes of registers at {Address:x}");
    }

    // The registers of a port without a device (AHCI 1.3.1 §3.3.8–3.3.10).
    private static ulong EmptyPort(int offset, int size)
    {
        ulong value = 0;
        for (var i = 0; i < size; i++)
        {
            var at = offset + i;
            if (at is < Port0 or >= Port0End) continue;
            var register = (at & ~3) - Port0;
            var word = register switch
            {
                PortRegister.PxSIG => NoSignature,
                PortRegister.PxTFD => NoDeviceTaskFile,
                _ => 0u,
            };
            value |= (ulong)(word >> 8 * (at & 3) & 0xFF) << 8 * i;
        }
        return value;
    }
}
