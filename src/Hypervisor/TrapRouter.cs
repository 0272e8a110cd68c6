using System.Buffers.Binary;
using VmShunt.Trap.VmExit;

namespace VmShunt.Hypervisor;

/// <summary>
/// Routes an MMIO access to the device that owns the address. An unowned address reads as ones and ignores writes, as on
/// an empty bus. Any thread; allocates nothing.
/// </summary>
internal sealed class TrapRouter(AssignedDevice[] devices)
{
    private long _unclaimed;

    /// <summary>How many accesses went to unowned addresses.</summary>
    internal long Unclaimed => Interlocked.Read(ref _unclaimed);

    /// <exception cref="IOException">The device failed.</exception>
    internal ulong Read(ulong address, int size)
    {
        Span<byte> value = stackalloc byte[8];
        value.Clear();
        if (!TryRead(address, value[..size]))
        {
            Interlocked.Increment(ref _unclaimed);
            value[..size].Fill(0xff);
        }
        return BinaryPrimitives.ReadUInt64LittleEndian(value);
    }

    /// <exception cref="IOException">The device failed.</exception>
    internal void Write(ulong address, int size, ulong value)
    {
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
        if (!TryWrite(address, bytes[..size])) Interlocked.Increment(ref _unclaimed);
    }

    private bool TryRead(ulong address, Span<byte> value)
    {
        if (TryFindFunction(address, out var function, out var register)) return function.TryReadConfiguration(register, value);
        foreach (var device in devices)
        {
            if (!device.Claims(address, value.Length, out var offset)) continue;
            device.ReadRegister(offset, value);
            return true;
        }
        return false;
    }

    private bool TryWrite(ulong address, ReadOnlySpan<byte> value)
    {
        if (TryFindFunction(address, out var function, out var register)) return function.TryWriteConfiguration(register, value);
        foreach (var device in devices)
        {
            if (!device.Claims(address, value.Length, out var offset)) continue;
            device.WriteRegister(offset, value);
            return true;
        }
        return false;
    }

    private bool TryFindFunction(ulong address, out AssignedDevice function, out ulong register)
    {
        var offset = address - GuestLayout.EcamAddress;
        register = offset & 0xfff;
        var index = (int)(offset >> 15) - 1;
        if (offset < GuestLayout.EcamBytes && (offset >> 12 & 7) == 0 && (uint)index < (uint)devices.Length)
        {
            function = devices[index];
            return true;
        }
        function = null!;
        return false;
    }
}
