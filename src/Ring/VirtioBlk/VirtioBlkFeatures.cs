namespace VmShunt.Ring.VirtioBlk;

/// <summary>Feature bits of a virtio block device: its own (virtio 1.3 §5.2.3) and the reserved ones that it uses (§6).</summary>
[Flags]
public enum VirtioBlkFeatures : ulong
{
    /// <summary>No optional feature.</summary>
    None = 0,

    /// <summary>size_max holds the largest segment.</summary>
    SizeMax = 1UL << 1,

    /// <summary>seg_max holds the most segments per request.</summary>
    SegMax = 1UL << 2,

    /// <summary>The disk is read-only.</summary>
    ReadOnly = 1UL << 5,

    /// <summary>blk_size holds the preferred block size.</summary>
    BlockSize = 1UL << 6,

    /// <summary>FLUSH is supported.</summary>
    Flush = 1UL << 9,

    /// <summary>The topology fields hold the disk's I/O geometry.</summary>
    Topology = 1UL << 10,

    /// <summary>The driver may switch between writeback and writethrough.</summary>
    ConfigWriteCache = 1UL << 11,

    /// <summary>num_queues holds the number of queues.</summary>
    MultiQueue = 1UL << 12,

    /// <summary>DISCARD is supported.</summary>
    Discard = 1UL << 13,

    /// <summary>WRITE_ZEROES is supported.</summary>
    WriteZeroes = 1UL << 14,

    /// <summary>VIRTIO_F_INDIRECT_DESC.</summary>
    IndirectDescriptors = 1UL << 28,

    /// <summary>VIRTIO_F_EVENT_IDX.</summary>
    EventIndex = 1UL << 29,

    /// <summary>VHOST_USER_F_PROTOCOL_FEATURES: used between vhost-user peers, never by a driver.</summary>
    ProtocolFeatures = 1UL << 30,

    /// <summary>VIRTIO_F_VERSION_1: no legacy layout.</summary>
    Version1 = 1UL << 32,

    /// <summary>VIRTIO_F_RING_PACKED.</summary>
    PackedRing = 1UL << 34,

    /// <summary>VIRTIO_F_IN_ORDER.</summary>
    InOrder = 1UL << 35,
}
