using System.Buffers.Binary;
using VmShunt.Trap.VmExit;

namespace VmShunt.PhysicalMachine;

/// <summary>
/// Routes a processor's loads and stores to the card at the address, by a method call. An unclaimed address reads as ones
/// and ignores writes, as on an empty bus. Any thread; allocates nothing.
/// </summary>
internal sealed class SystemBus(AhciCard[] cards)
{
    private const int FunctionShift = 12, DeviceShift = 15, FunctionMask = 7;

    internal ulong Read(ulong address, int size)
    {
        Span<byte> value = stackalloc byte[sizeof(ulong)];
        value.Clear();
        if (TryFindFunction(address, out var card, out var register)) card.ReadConfiguration(register, value[..size]);
        else if (TryFindRegister(address, size, out card, out var offset)) card.ReadRegister(offset, value[..size]);
        else value[..size].Fill(0xFF);
        return BinaryPrimitives.ReadUInt64LittleEndian(value);
    }

    internal void Write(ulong address, int size, ulong value)
    {
        Span<byte> bytes = stackalloc byte[sizeof(ulong)];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
        if (TryFindFunction(address, out var card, out var register)) card.WriteConfiguration(register, bytes[..size]);
        else if (TryFindRegister(address, size, out card, out var offset)) card.WriteRegister(offset, bytes[..size]);
    }

    // Device 0 is the host bridge, which is not modelled.
    private bool TryFindFunction(ulong address, out AhciCard card, out ulong register)
    {
        var offset = address - GuestLayout.EcamAddress;
        register = offset & (1UL << FunctionShift) - 1;
        var slot = offset < GuestLayout.EcamBytes && (offset >> FunctionShift & FunctionMask) == 0 ? (int)(offset >> DeviceShift) - 1 : -1;
        card = (uint)slot < (uint)cards.Length ? cards[slot] : null!;
        return card is not null;
    }

    private bool TryFindRegister(ulong address, int size, out AhciCard card, out ulong offset)
    {
        foreach (var candidate in cards)
        {
            if (!candidate.Claims(address, size, out offset)) continue;
            card = candidate;
            return true;
        }
        card = null!;
        offset = 0;
        return false;
    }
}
