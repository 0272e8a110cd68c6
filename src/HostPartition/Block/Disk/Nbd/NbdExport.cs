namespace VmShunt.BlockBackend.Disk.Nbd;

/// <summary>What a server says about an export.</summary>
/// <param name="Bytes">Its size.</param>
/// <param name="Flags">Its transmission flags (<c>NBD_FLAG_*</c>).</param>
/// <param name="BlockSizes">Its block sizes.</param>
internal readonly record struct NbdExport(long Bytes, ushort Flags, NbdBlockSizes BlockSizes);

/// <summary>The block sizes of an export (NBD, "Block size constraints").</summary>
/// <param name="Minimum">Every offset and length is a multiple of it.</param>
/// <param name="Preferred">What the server does best.</param>
/// <param name="MaxPayload">The most data of a request.</param>
internal readonly record struct NbdBlockSizes(int Minimum, int Preferred, int MaxPayload)
{
    /// <summary>Of a server that announces none.</summary>
    internal static NbdBlockSizes Default { get; } = new(1, 4096, 32 << 20);
}
