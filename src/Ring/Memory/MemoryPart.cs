namespace VmShunt.Ring.Memory;

/// <summary>A range of guest-physical memory and its position in the file behind it, in bytes.</summary>
/// <param name="GuestAddress">The first guest-physical address.</param>
/// <param name="Size">The size.</param>
/// <param name="FileOffset">Where it starts in the file.</param>
public readonly record struct MemoryPart(ulong GuestAddress, ulong Size, ulong FileOffset);
