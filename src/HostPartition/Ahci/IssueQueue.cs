namespace VmShunt.HostPartition.Ahci;

/// <summary>The slots that wait for the worker, in the order of issue; of one write to PxCI, the lowest first.</summary>
internal sealed class IssueQueue
{
    /// <summary>The number of command slots of a port.</summary>
    internal const int Slots = 32;

    private readonly int[] _slots = new int[Slots];
    private int _head, _count;

    internal bool IsEmpty => _count == 0;

    /// <summary>Adds every slot of a mask. A slot is added only while it is not in the queue, so there is always room.</summary>
    internal void Add(uint slots)
    {
        for (; slots != 0; slots &= slots - 1)
            _slots[(_head + _count++) % Slots] = System.Numerics.BitOperations.TrailingZeroCount(slots);
    }

    internal int Take()
    {
        var slot = _slots[_head];
        _head = (_head + 1) % Slots;
        _count--;
        return slot;
    }

    /// <summary>Makes a slot that was just taken the next one again.</summary>
    internal void PutBack(int slot)
    {
        _head = (_head + Slots - 1) % Slots;
        _slots[_head] = slot;
        _count++;
    }

    internal void Clear() => _count = 0;
}
