namespace VmShunt.Ring.Virtqueue;

/// <summary>What a device must give back to return a chain: its id, and how many ring slots it occupied.</summary>
/// <param name="Id">Split: the head's index. Packed: the buffer id.</param>
/// <param name="Slots">Ring slots occupied (the packed ring advances by them; 1 for indirect chains).</param>
public readonly record struct ChainHandle(ushort Id, ushort Slots);
