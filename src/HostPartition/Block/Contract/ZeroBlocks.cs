namespace VmShunt.BlockBackend;

/// <summary>Blocks of zeros, for disks that write zeros as data.</summary>
internal static class ZeroBlocks
{
    internal const int Bytes = 64 << 10;

    private static readonly byte[] s_zeros = new byte[Bytes];

    internal static ReadOnlyMemory<byte> Memory => s_zeros;

    internal static ReadOnlySpan<byte> Of(int bytes) => s_zeros.AsSpan(0, bytes);
}
