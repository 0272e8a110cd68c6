namespace VmShunt.BlockBackend.VirtioBlk;

/// <summary>A well-formed read or write, which can be carried out concurrently.</summary>
/// <param name="IsWrite">Whether it is a write.</param>
/// <param name="Sector">The first sector.</param>
/// <param name="Bytes">The length of its data.</param>
/// <param name="StatusAddress">The guest-physical address of its status byte.</param>
internal readonly record struct PlainRequest(bool IsWrite, ulong Sector, long Bytes, ulong StatusAddress);
