namespace VmShunt.BlockBackend.Disk.Nbd;

/// <summary>What a server says about an export.</summary>
/// <param name="Bytes">Its size.</param>
/// <param name="Flags">Its transmission flags (<c>NBD_FLAG_*</c>).</param>
internal readonly record struct NbdExport(long Bytes, ushort Flags);
