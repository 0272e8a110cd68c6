using VmShunt.Ring.Memory;

namespace VmShunt.Ring.Virtqueue;

/// <summary>
/// An event suppression area, in which one side enables or suppresses the notifications of the other (virtio 1.3 §2.8.10,
/// §2.8.14). Index and flags are one word, so the reader never sees a mix of old and new.
/// </summary>
internal static class PackedEvent
{
    private const uint Enable = 0, Disable = 1, AtDescriptor = 2, FlagsMask = 3;

    /// <summary>Enables the notification for the entry at <paramref name="next"/>.</summary>
    internal static void Arm(MemoryWindow area, in PackedPosition next, bool eventIndex) =>
        area.WriteUInt32Release(0, eventIndex ? AtDescriptor << 16 | next.Word : Enable << 16);

    internal static void Disarm(MemoryWindow area) => area.WriteUInt32Release(0, Disable << 16);

    /// <summary>Whether the other side must be notified of the last <paramref name="slots"/> entries before <paramref name="next"/>.</summary>
    internal static bool IsWanted(MemoryWindow area, in PackedPosition next, int slots, int size, bool eventIndex)
    {
        var word = area.Read<uint>(0);
        var flags = word >> 16 & FlagsMask;
        if (flags != AtDescriptor || !eventIndex) return flags != Disable && slots > 0;
        var index = (int)(word & (PackedLayout.WrapBit - 1));
        // With the other wrap counter, the index is one lap behind.
        if ((word & PackedLayout.WrapBit) != 0 != next.Wrap) index -= size;
        return SplitLayout.NeedsEvent((ushort)index, (ushort)next.Index, (ushort)(next.Index - slots));
    }
}
