namespace VmShunt.AhciBackend.Controller;

/// <summary>The issued slots in the order of issue; slots of one write to PxCI by number, the lowest first.</summary>
internal sealed class IssueQueue
{
    /// <summary>The number of command slots of a port.</summary>
    internal const int Slots = 32;

    private readonly int[] _slots = new int[Slots];
    private int _head, _count;

    internal int Count => _count;

    /// <summary>Adds the slots of a mask. A queued slot is not added again, so the queue cannot overflow.</summary>
    internal void Add(uint slots)
    {
        for (; slots != 0; slots &= slots - 1)
            _slots[(_head + _count++) % Slots] = System.Numerics.BitOperations.TrailingZeroCount(slots);
    }

    internal int Pop()
    {
        var slot = _slots[_head];
        _head = (_head + 1) % Slots;
        _count--;
        return slot;
    }

    internal void Clear() => _count = 0;
}
