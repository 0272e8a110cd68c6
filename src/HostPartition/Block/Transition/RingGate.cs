using VmShunt.Ring.Memory;

namespace VmShunt.BlockBackend.Transition;

/// <summary>
/// The order that the rings of a session follow. A ring loads it once per step, and nothing else of the transition while it is
/// <see cref="RingOrder.Serve"/>.
/// </summary>
internal sealed class RingGate
{
    private const int OrderBits = 3, OrderMask = (1 << OrderBits) - 1;

    private int _word;

    /// <summary>The order, and the number of changes before it, by which a ring acknowledges it.</summary>
    internal int Word => Ordered.Load(ref _word);

    internal RingOrder Order => OrderOf(Word);

    internal static RingOrder OrderOf(int word) => (RingOrder)(word & OrderMask);

    /// <summary>Changes the order. Under the lock of the transition, or before the session has one.</summary>
    internal void Set(RingOrder order)
    {
        var word = Word;
        if (OrderOf(word) != order) Ordered.Store(ref _word, ((word >> OrderBits) + 1) << OrderBits | (int)order);
    }
}
