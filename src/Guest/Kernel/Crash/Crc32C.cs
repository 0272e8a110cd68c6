using System.Buffers.Binary;
using System.Numerics;

namespace VmShunt.Guest.Crash;

/// <summary>CRC-32C with the processor's instruction: fast enough for a whole memory, without allocations.</summary>
internal static class Crc32C
{
    internal static uint Of(ReadOnlySpan<byte> data) => Append(0, data);

    /// <summary>Continues a checksum; 0 starts one.</summary>
    internal static uint Append(uint checksum, ReadOnlySpan<byte> data)
    {
        var crc = ~checksum;
        for (; data.Length >= sizeof(ulong); data = data[sizeof(ulong)..])
            crc = BitOperations.Crc32C(crc, BinaryPrimitives.ReadUInt64LittleEndian(data));
        foreach (var b in data) crc = BitOperations.Crc32C(crc, b);
        return ~crc;
    }
}
