using System.Buffers.Binary;
using VmShunt.Guest.Firmware.Machine;
using VmShunt.Trap.VfioUser;

namespace VmShunt.Tests.Doubles;

/// <summary>The registers of a controller behind a vfio-user socket, at an address.</summary>
internal sealed class VfioMmio(VfioUserClient client, ulong abar) : IMmio
{
    public ulong Read(ulong address, int size)
    {
        Span<byte> bytes = stackalloc byte[8];
        bytes.Clear();
        client.ReadRegion(VfioPciRegion.Bar5, address - abar, bytes[..size]);
        return BinaryPrimitives.ReadUInt64LittleEndian(bytes);
    }

    public void Write(ulong address, int size, ulong value)
    {
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
        client.WriteRegion(VfioPciRegion.Bar5, address - abar, bytes[..size]);
    }
}
