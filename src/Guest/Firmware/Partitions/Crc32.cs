namespace VmShunt.Guest.Firmware.Partitions;

/// <summary>The CRC-32 of IEEE 802.3 (reflected polynomial EDB88320), which a GPT uses (UEFI 2.10 §5.3.2).</summary>
internal static class Crc32
{
    private static readonly uint[] s_table = MakeTable();

    internal static uint Of(ReadOnlySpan<byte> data)
    {
        var crc = uint.MaxValue;
        foreach (var b in data) crc = s_table[(byte)crc ^ b] ^ (crc >> 8);
        return ~crc;
    }

    private static uint[] MakeTable()
    {
        var table = new uint[256];
        for (uint i = 0; i < table.Length; i++)
        {
            var value = i;
            for (var bit = 0; bit < 8; bit++) value = (value & 1) != 0 ? 0xEDB88320 ^ (value >> 1) : value >> 1;
            table[i] = value;
        }
        return table;
    }
}
