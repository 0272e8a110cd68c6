namespace VmShunt.HostPartition.VirtioBlk;

/// <summary>A read or write with nothing unusual about it.</summary>
/// <param name="IsWrite">Which.</param>
/// <param name="Sector">Where.</param>
/// <param name="Bytes">How much.</param>
/// <param name="StatusAddress">Where its status goes.</param>
internal readonly record struct PlainRequest(bool IsWrite, ulong Sector, long Bytes, ulong StatusAddress);
