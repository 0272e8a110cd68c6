using VmShunt.Ring.VirtioBlk;
using VmShunt.Ring.Virtqueue;

namespace VmShunt.Perf.Ends;

/// <summary>The buffers of a virtio-blk read (virtio 1.3 §5.2.6): header, data, status.</summary>
internal static class RequestShape
{
    internal const int Buffers = 3, Readable = 1;

    /// <summary>The status has its own cache line, because the device writes it and the driver writes the header.</summary>
    internal const int StatusOffset = 64;

    internal static QueueBuffer[] Read(ulong slot, ulong data, int bytes)
    {
        var buffers = new QueueBuffer[Buffers];
        Describe(buffers, slot, data, bytes);
        return buffers;
    }

    internal static void Describe(Span<QueueBuffer> buffers, ulong slot, ulong data, int bytes)
    {
        buffers[0] = new QueueBuffer(slot, VirtioBlkRequestHeader.Bytes);
        buffers[1] = new QueueBuffer(data, (uint)bytes);
        buffers[2] = new QueueBuffer(slot + StatusOffset, 1);
    }
}
