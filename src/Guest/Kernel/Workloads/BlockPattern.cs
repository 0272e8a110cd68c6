using System.Buffers.Binary;

namespace VmShunt.Guest.Workloads;

/// <summary>
/// Content computed from a block's number and its generation, eight bytes at a time, so that a lost, misplaced, repeated or
/// torn write shows when the block is read.
/// </summary>
internal static class BlockPattern
{
    internal static void Fill(Span<byte> block, long number, long generation)
    {
        var value = Seed(number, generation);
        for (var at = 0; at < block.Length; at += sizeof(ulong))
        {
            value = Next(value);
            BinaryPrimitives.WriteUInt64LittleEndian(block[at..], value);
        }
    }

    internal static bool Matches(ReadOnlySpan<byte> block, long number, long generation)
    {
        var value = Seed(number, generation);
        for (var at = 0; at < block.Length; at += sizeof(ulong))
        {
            value = Next(value);
            if (BinaryPrimitives.ReadUInt64LittleEndian(block[at..]) != value) return false;
        }
        return true;
    }

    private static ulong Seed(long number, long generation) =>
        ((ulong)number + 1) * 0x9E37_79B9_7F4A_7C15 ^ ((ulong)generation + 1) * 0xD1B5_4A32_D192_ED03;

    private static ulong Next(ulong value)
    {
        value ^= value << 13;
        value ^= value >> 7;
        return value ^ value << 17;
    }
}
