namespace VmShunt.Ring.Virtqueue;

/// <summary>Identifies a popped chain when the device returns it.</summary>
/// <param name="Id">Split: the head's index. Packed: the buffer id.</param>
/// <param name="Slots">Ring slots that the chain occupies. The packed ring advances by them; an indirect chain occupies one.</param>
public readonly record struct ChainHandle(ushort Id, ushort Slots);
