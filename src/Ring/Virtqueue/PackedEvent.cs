using VmShunt.Ring.Memory;

namespace VmShunt.Ring.Virtqueue;

/// <summary>
/// An event suppression area: one side writes when it wants to be notified, the other reads it (virtio 1.3 §2.8.10,
/// §2.8.14). Index and flags are one word, so that they are never seen apart.
/// </summary>
internal static class PackedEvent
{
    private const uint Enable = 0, Disable = 1, AtDescriptor = 2, FlagsMask = 3;

    /// <summary>Asks to be notified once the other side has passed <paramref name="next"/>.</summary>
    internal static void Arm(MemoryWindow area, in PackedPosition next, bool eventIndex) =>
        area.WriteUInt32Release(0, eventIndex ? AtDescriptor << 16 | next.Word : Enable << 16);

    internal static void Disarm(MemoryWindow area) => area.WriteUInt32Release(0, Disable << 16);

    /// <summary>Whether the other side wants to hear of the last <paramref name="slots"/> entries before <paramref name="next"/>.</summary>
    internal static bool IsWanted(MemoryWindow area, in PackedPosition next, int slots, int size, bool eventIndex)
    {
        var word = area.Read<uint>(0);
        var flags = word >> 16 & FlagsMask;
        if (flags != AtDescriptor || !eventIndex) return flags != Disable && slots > 0;
        var index = (int)(word & (PackedLayout.WrapBit - 1));
        // An index of the other lap is one ring behind.
        if ((word & PackedLayout.WrapBit) != 0 != next.Wrap) index -= size;
        return SplitLayout.NeedsEvent((ushort)index, (ushort)next.Index, (ushort)(next.Index - slots));
    }
}
